/* The hooks of call_soon: when a callback was made ready, and who cancelled the future that wakes a task.
 *
 * asyncio's loops get a handle with a time stamp; loops with handles of their own (uvloop) a callback that runs the
 * step.
 */
#include "hooks.h"
#include <stddef.h>

/* A cancelled future wakes a task: the caller of `cancel` is on the stack now, and is noted in Python
 * (probes/hooks/cancellation.py). -1 with an error that is not an Exception (from a signal): the program gets it. */
static COLD int note_cancel(State *state, PyObject *loop, PyObject *callback, PyObject *future) {
    PyObject *task = NULL, *result, *function = state->on_cancel;
    if (function == NULL || function == Py_None || step_of(state, callback, &task) != STEP)
        return 0;
    Py_INCREF(function);
    result = PyObject_CallFunctionObjArgs(function, loop, task, future, NULL);
    Py_DECREF(function);
    if (result == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear(); /* it reports its own errors */
    }
    Py_XDECREF(result);
    return 0;
}

/* Whether a callback may be a task's wakeup by a cancelled future: paid for at every call_soon. */
static int is_cancelled(State *state, PyObject *callback, PyObject *future) {
    PyTypeObject *type = Py_TYPE(future);
    PyObject *answer;
    if (Py_TYPE(callback) != &PyCFunction_Type || state->future_cancelled == NULL)
        return 0;
    if (type != state->future_type && type != state->task_type && !PyType_IsSubtype(type, state->future_type))
        return 0;
    answer = state->future_cancelled(future, NULL);
    if (UNLIKELY(answer == NULL)) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(answer);
    return answer == Py_True;
}

/* The context among the keywords: NULL and 0 for none, -1 for other keywords. */
static int find_context(State *state, PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **context) {
    PyObject *name;
    *context = NULL;
    if (names == NULL)
        return 0;
    if (names != state->context_names) {
        if (PyTuple_Size(names) == 0)
            return 0;
        if (PyTuple_Size(names) != 1)
            return -1;
        name = PyTuple_GetItem(names, 0);
        if (name != str_context) { /* asyncio's is not interned */
            PyObject *old = state->context_names;
            if (PyUnicode_Compare(name, str_context) != 0)
                return -1;
            Py_INCREF(names);
            state->context_names = names;
            Py_XDECREF(old);
        }
    }
    *context = args[count] == Py_None ? NULL : args[count];
    return 0;
}

static PyObject *tuple_of(PyObject *const *items, Py_ssize_t count) {
    PyObject *tuple;
    Py_ssize_t index;
    if (count == 0) {
        Py_INCREF(no_arguments);
        return no_arguments;
    }
    tuple = PyTuple_New(count);
    if (tuple == NULL)
        return NULL;
    for (index = 0; index < count; index++) {
        Py_INCREF(items[index]);
        PyTuple_SetItem(tuple, index, items[index]);
    }
    return tuple;
}

static PyObject *append_to_ready(State *state, PyObject *loop, PyObject *handle) {
    PyObject *ready = PyObject_GetAttr(loop, str_ready), *result;
    if (ready == NULL)
        return NULL;
    if (LIKELY(Py_TYPE(ready) == state->deque_type && state->append != NULL))
        result = state->append(ready, handle);
    else
        result = PyObject_CallMethod(ready, "append", "O", handle);
    Py_DECREF(ready);
    return result;
}

/* A task in Python (of `asyncio.tasks._PyTask`, which some put in the place of `Task`) asks for its first step while it is
 * made: it has no slot to hook. */
static COLD int note_python_task(State *state, PyObject *loop, PyObject *callback) {
    PyObject *task = PyMethod_Self(callback), *record, *coro;
    if (task == NULL)
        return -1;
    record = records_find(state->records, task);
    if (record != NULL && REFERENT(record) == task)
        return 0;
    coro = PyObject_GetAttr(task, str_own_coro);
    if (coro == NULL)
        return -1;
    record = coro == state->making || state->closed ? NULL : register_task(state, loop, task, coro, now(), NULL, NULL);
    Py_XDECREF(record);
    Py_DECREF(coro);
    return PyErr_Occurred() ? -1 : 0;
}

static inline int is_python_step(State *state, PyObject *callback) {
    return UNLIKELY(Py_TYPE(callback) == &PyMethod_Type) && state->python_step != NULL && PyMethod_Function != NULL &&
           PyMethod_Function(callback) == state->python_step;
}

PyObject *call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    Py_ssize_t count = NARGS(nargsf);
    PyObject *context, *handle, *arguments, *result;
    double moment;
    if (UNLIKELY(count == 3 && is_cancelled(state, args[1], args[2]) &&
                 note_cancel(state, args[0], args[1], args[2]) < 0))
        return NULL;
    if (UNLIKELY(count < 2 || find_context(state, args, count, names, &context) < 0) || needs_asyncio_path(state, args[0]))
        return call_fallback(hook, args, nargsf, names);
    if (is_python_step(state, args[1]) && note_python_task(state, args[0], args[1]) < 0 &&
        swallow(state, "Task.__init__") < 0)
        return NULL;
    if (context != NULL)
        Py_INCREF((PyObject *)context);
    else if ((context = PyContext_CopyCurrent()) == NULL)
        return NULL;
    arguments = tuple_of(args + 2, count - 2);
    handle = arguments == NULL ? NULL : PyType_GenericAlloc(state->timed_type, 0);
    if (handle == NULL) {
        Py_XDECREF(arguments);
        Py_DECREF((PyObject *)context);
        return NULL;
    }
    /* What Handle.__init__ does, of 3.11 to 3.15. */
    SLOT(handle, state, CONTEXT) = context;
    SLOT(handle, state, ARGS) = arguments;
    Py_INCREF(args[1]);
    SLOT(handle, state, CALLBACK) = args[1];
    Py_INCREF(args[0]);
    SLOT(handle, state, LOOP) = args[0];
    Py_INCREF(Py_False);
    SLOT(handle, state, CANCEL) = Py_False;
    Py_INCREF(Py_None);
    SLOT(handle, state, REPR) = Py_None;
    Py_INCREF(Py_None);
    SLOT(handle, state, SOURCE) = Py_None;
    *(double *)((char *)handle + state->ready_offset) = moment = now();
    if (state->ring != NULL)
        trace_ready(state, args[0], args[1], count, WAKER(handle, state), moment);
    result = append_to_ready(state, args[0], handle);
    if (UNLIKELY(result == NULL)) {
        Py_DECREF(handle);
        return NULL;
    }
    Py_DECREF(result);
    return handle;
}

/* call_soon of a loop with handles of its own (uvloop): its callback is one of these, which runs the step. */
typedef struct {
    PyObject_HEAD
    vectorcall call;
    State *state;
    PyObject *callback, *argument, *arguments, *loop; /* `arguments`: of more than one; NULL: there are not so many */
    double ready;
    Waker waker;
} Step;

static inline PyObject *call_step(Step *self) {
    PyObject *stack[2] = {NULL, self->argument};
    if (UNLIKELY(self->arguments != NULL))
        return call_with(self->callback, self->arguments);
    return PyObject_Vectorcall(self->callback, stack + 1, (size_t)(self->argument != NULL) | OFFSET_FLAG, NULL);
}

static PyObject *step_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Step *self = (Step *)op;
    State *state = self->state;
    PyObject *clock_object, *result, *seen = NULL, *callback = self->callback;
    LoopClock *clock;
    Begun begun;
    Outer outer;
    double started, elapsed;
    if (callback == NULL)
        Py_RETURN_NONE;
    Py_INCREF(op); /* the handle that has it may be cancelled */
    clock_object = find_loop(state, self->loop);
    if (clock_object == NULL) {
        result = swallow(state, "run") < 0 ? NULL : call_step(self);
        Py_DECREF(op);
        return result;
    }
    clock = (LoopClock *)clock_object;
    outer = callback_begins(clock);
    begin_step(state, clock, callback, &begun);
    if (state->ring != NULL)
        trace_begin(clock, &begun, callback, NULL, TRACE_STEP_SOON, &self->waker);
    clock->started = started = now();
    result = call_step(self);
    elapsed = now() - started;
    clock->started = 0.0;
    clock->busy += elapsed - clock->inner;
    clock->traced = NULL;
    if (UNLIKELY(clock->litter != NULL) && result != NULL)
        drop_litter(clock);
    if (UNLIKELY(state->label_variable != NULL) && result != NULL)
        seen = see_label(state);
    if (result != NULL && account_step(state, clock_object, callback, &begun, seen, self->ready, started, elapsed) < 0) {
        if (state->watching ? swallow(state, "run") < 0 : (put_off(), 0))
            Py_CLEAR(result);
    }
    callback_ends(clock, &outer, elapsed);
    Py_XDECREF(seen);
    Py_XDECREF(begun.record);
    Py_DECREF(clock_object);
    Py_DECREF(op);
    return result;
}

static int step_traverse(PyObject *op, visitproc visit, void *arg) {
    Step *self = (Step *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->state);
    Py_VISIT(self->callback);
    Py_VISIT(self->argument);
    Py_VISIT(self->arguments);
    Py_VISIT(self->loop);
    return 0;
}

static int step_clear(PyObject *op) {
    Step *self = (Step *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->argument);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->loop);
    return 0;
}

static void step_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    State *state = ((Step *)op)->state;
    PyObject_GC_UnTrack(op);
    step_clear(op);
    state->steps_of_others--;
    if (LIKELY(state->spare < SPARE && references((PyObject *)state) > 1))
        state->spare_steps[state->spare++] = op;
    else
        PyObject_GC_Del(op);
    Py_DECREF((PyObject *)state);
    Py_DECREF((PyObject *)type);
}

static Step *new_step(State *state) {
    Step *step;
    if (LIKELY(state->spare > 0))
        step = (Step *)PyObject_Init(state->spare_steps[--state->spare], state->step_type);
    else if ((step = PyObject_GC_New(Step, state->step_type)) == NULL)
        return NULL;
    state->steps_of_others++;
    step->call = step_call;
    Py_INCREF((PyObject *)state);
    step->state = state;
    return step;
}

void steps_free(State *state) {
    while (state->spare > 0)
        PyObject_GC_Del(state->spare_steps[--state->spare]);
}

/* A loop in debug mode names what was slow by the callback's `__self__`, `__qualname__` or repr: those of the callback. */
static PyObject *step_repr(PyObject *op) {
    PyObject *callback = ((Step *)op)->callback;
    return callback == NULL ? PyUnicode_FromString("<step>") : PyObject_Repr(callback);
}

static PyObject *step_attribute(PyObject *op, void *name) {
    PyObject *callback = ((Step *)op)->callback;
    return PyObject_GetAttrString(callback == NULL ? Py_None : callback, name);
}

static PyGetSetDef step_getset[] = {
    {"__self__", step_attribute, NULL, NULL, "__self__"},
    {"__name__", step_attribute, NULL, NULL, "__name__"},
    {"__qualname__", step_attribute, NULL, NULL, "__qualname__"},
    {NULL},
};
static PyMemberDef step_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Step, call), READONLY, NULL},
    {"__wrapped__", T_OBJECT, offsetof(Step, callback), READONLY, NULL},
    {NULL},
};
static PyType_Slot step_slots[] = {
    {Py_tp_call, NULL}, /* PyVectorcall_Call: a weak symbol, filled in by module.c */
    {Py_tp_members, step_members},     {Py_tp_traverse, step_traverse}, {Py_tp_clear, step_clear},
    {Py_tp_dealloc, step_dealloc},     {Py_tp_repr, step_repr},         {Py_tp_getset, step_getset},
    {0, NULL},
};
PyType_Spec step_spec = {
    .name = "probes.hooks._native.Step",
    .basicsize = sizeof(Step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | (1UL << 11) /* HAVE_VECTORCALL */,
    .slots = step_slots,
};

PyObject *foreign_call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    Py_ssize_t count = NARGS(nargsf);
    PyObject *context, *task = NULL, *result, *stack[3];
    Step *step;
    if (count >= 2 && is_python_step(state, args[1]) && note_python_task(state, args[0], args[1]) < 0 &&
        swallow(state, "Task.__init__") < 0)
        return NULL;
    if (count < 2 || find_context(state, args, count, names, &context) < 0 || step_of(state, args[1], &task) == NO_STEP)
        return call_original(hook, args, nargsf, names);
    if (UNLIKELY(count == 3 && is_cancelled(state, args[1], args[2]) &&
                 note_cancel(state, args[0], args[1], args[2]) < 0))
        return NULL;
    step = new_step(state);
    if (step == NULL)
        return NULL;
    Py_INCREF(args[1]);
    step->callback = args[1];
    Py_INCREF(args[0]);
    step->loop = args[0];
    step->argument = count == 3 ? args[2] : NULL;
    Py_XINCREF(step->argument);
    step->arguments = count > 3 ? tuple_of(args + 2, count - 2) : NULL;
    step->ready = now();
    step->waker = (Waker){0, 0};
    if (state->ring != NULL)
        trace_ready(state, args[0], args[1], count, &step->waker, step->ready);
    PyObject_GC_Track((PyObject *)step);
    if (count > 3 && step->arguments == NULL) {
        Py_DECREF((PyObject *)step);
        return NULL;
    }
    stack[0] = args[0];
    stack[1] = (PyObject *)step;
    stack[2] = context;
    result = PyObject_Vectorcall(hook->original, stack, 2, context == NULL ? NULL : kw_context);
    Py_DECREF((PyObject *)step);
    return result;
}
