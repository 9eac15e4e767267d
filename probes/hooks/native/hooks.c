/* The callables that take the place of create_task, call_soon and Handle._run. Every line is paid for by the program.
 *
 * A hook is a method descriptor with a dictionary: it looks like the function in whose place it is, binds to a bound
 * method, and calls that function (`original`) whenever something is not as usual. Where an exception leaves a callback
 * asyncio's own `_run` is called with a context that raises it again, so context, text and traceback are asyncio's.
 */
#include "hot.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

double now(void) {
#ifdef __APPLE__
    return (double)clock_gettime_nsec_np(CLOCK_UPTIME_RAW) * 1e-9; /* what time.monotonic reads there */
#else
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
#endif
}

static PyObject *str_closed, *str_debug, *str_factory, *str_ready, *str_context, *str_name, *str_loop, *str_eager_start;
static PyObject *str_exception, *str_dunder_name, *str_done, *str_cancelled, *str_add, *str_run, *str_Task;
static PyObject *str_get_factory, *str_cr_code, *str_waiter, *kw_loop, *kw_context, *kw_all, *zero, *no_arguments;

int strings_setup(void) {
    struct {
        PyObject **at;
        const char *text;
    } all[] = {
        {&str_closed, "_closed"}, {&str_debug, "_debug"}, {&str_factory, "_task_factory"}, {&str_ready, "_ready"},
        {&str_context, "context"}, {&str_name, "name"}, {&str_loop, "loop"}, {&str_eager_start, "eager_start"},
        {&str_exception, "_exception"}, {&str_dunder_name, "__name__"}, {&str_done, "done"},
        {&str_cancelled, "cancelled"}, {&str_add, "add"}, {&str_run, "run"}, {&str_Task, "Task"},
        {&str_get_factory, "get_task_factory"}, {&str_cr_code, "cr_code"},
        {&str_waiter, "_fut_waiter"},
    };
    size_t index;
    if (zero != NULL)
        return 0;
    for (index = 0; index < sizeof(all) / sizeof(all[0]); index++)
        if ((*all[index].at = PyUnicode_InternFromString(all[index].text)) == NULL)
            return -1;
    kw_loop = PyTuple_Pack(1, str_loop);
    kw_context = PyTuple_Pack(1, str_context);
    kw_all = PyTuple_Pack(3, str_loop, str_name, str_context);
    no_arguments = PyTuple_New(0);
    if (kw_loop == NULL || kw_context == NULL || kw_all == NULL || no_arguments == NULL)
        return -1;
    zero = PyFloat_FromDouble(0.0);
    return zero == NULL ? -1 : 0;
}

/* A hook went wrong: it is switched off and told, and the program goes on. What is no Exception is the program's. */
static int swallow(State *state, const char *name) {
    PyObject *type, *value, *traceback, *result = NULL, *text, *function = state->on_error;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    text = PyUnicode_FromString(name);
    Py_XINCREF(function);
    if (text != NULL && value != NULL && function != NULL)
        result = PyObject_CallFunctionObjArgs(function, text, value, NULL);
    Py_XDECREF(function);
    Py_XDECREF(text);
    Py_XDECREF(result);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    if (result == NULL && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
    }
    return 0;
}

/* 1 where an attribute of an object is true (or not None), 0, or -1 with an error. */
static int is_true(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    int result;
    if (value == NULL)
        return -1;
    result = value == Py_True ? 1 : value == Py_False ? 0 : PyObject_IsTrue(value);
    Py_DECREF(value);
    return result;
}

static int is_set(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    Py_DECREF(value);
    return value != Py_None;
}

static int is_followed(State *state, PyObject *loop) {
    return LIKELY(loop == state->last_loop) && ((LoopClock *)state->last_record)->followed;
}

/* What BaseEventLoop checks first; 0 where everything is as usual, and where it cannot be told: then asyncio's own
 * code will say what is wrong. */
static int needs_asyncio_path(State *state, PyObject *loop) {
    /* While asyncio's own code runs a loop it is not closed; others may run and close theirs as they like. */
    int closed = is_followed(state, loop) ? 0 : is_true(loop, str_closed);
    int debug = closed == 0 ? is_true(loop, str_debug) : 1;
    if (closed < 0 || debug < 0)
        PyErr_Clear();
    return closed != 0 || debug != 0;
}

/* Steps */

static int is_instance(PyObject *object, PyTypeObject *type) {
    return Py_TYPE(object) == type || PyType_IsSubtype(Py_TYPE(object), type);
}

static int has_name_of_a_step(PyObject *callback) {
    static const char *names[] = {"task_wakeup", "TaskWakeupMethWrapper", "__step", "__wakeup", NULL};
    PyObject *name = PyObject_GetAttr(callback, str_dunder_name);
    int index, found = 0;
    if (name == NULL) {
        PyErr_Clear();
        return 0;
    }
    for (index = 0; names[index] != NULL && !found; index++)
        found = PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, names[index]) == 0;
    Py_DECREF(name);
    return found;
}

enum { NO_STEP, FIRST_STEP, STEP };

/* What a callback is to its task, which is then in `task` (borrowed from the callback). */
static int step_of(State *state, PyObject *callback, PyObject **task) {
    PyTypeObject *type = Py_TYPE(callback);
    PyObject *owner;
    if (type == state->first_step_type) {
        *task = *(PyObject **)((char *)callback + state->first_step_offset);
        return *task == NULL ? NO_STEP : FIRST_STEP;
    }
    if (type == &PyCFunction_Type) {
        PyCFunction function = PyCFunction_GetFunction(callback);
        owner = PyCFunction_GetSelf(callback);
        if (function == NULL || owner == NULL) {
            PyErr_Clear();
            return NO_STEP;
        }
        if (function != state->wakeup) {
            if (state->wakeup != NULL || !is_instance(owner, state->task_type) || !has_name_of_a_step(callback))
                return NO_STEP;
            state->wakeup = function; /* the first that was seen */
        }
        *task = owner;
        return STEP;
    }
    if (type == &PyMethod_Type) { /* a task in Python: of somebody's own, or of a Python without the C ones */
        owner = PyMethod_Self(callback);
        if (owner == NULL || records_find(state->records, owner) == NULL || !has_name_of_a_step(callback))
            return NO_STEP;
        *task = owner;
        return STEP;
    }
    return NO_STEP;
}

int is_step(State *state, PyObject *callback, PyObject **task) { return step_of(state, callback, task) == STEP; }

static int truth_of(PyObject *task, PyObject *name) {
    PyObject *result = PyObject_CallMethodObjArgs(task, name, NULL);
    int truth = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return truth;
}

/* What a class of the program's raises is no failure of a hook: 1, and the error is gone. Not for what is no Exception. */
static int is_theirs(void) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return 0;
    PyErr_Clear();
    return 1;
}

/* Whether a task is done, or cancelled; 0 if a class of the program's cannot say, -1 with an error. */
static int asked(State *state, PyObject *task, PyCFunction function, PyObject *name) {
    PyObject *result;
    if (UNLIKELY(function == NULL || !is_instance(task, state->task_type))) {
        int truth = truth_of(task, name);
        return truth < 0 && is_theirs() ? 0 : truth;
    }
    result = function(task, NULL);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return result == Py_True;
}

static int add_changed(State *state, PyObject *record) {
    Fields *fields = FIELDS(record);
    int added = changed_append(state->changed, record);
    if (added < 0)
        return -1;
    if (added)
        fields->dirty = 1;
    else
        state->lost++;
    return 0;
}

/* Books the end of a task. Never asks for its exception as a program would: that silences "never retrieved". */
static int finish(State *state, PyObject *record, PyObject *task, double at) {
    Fields *fields = FIELDS(record);
    PyObject *error, *told;
    int failed, cancelled, result = 0;
    SiteCounts *counts;
    if (fields->outcome || REFERENT(record) != task)
        return 0;
    error = PyObject_GetAttr(task, str_exception);
    if (error == NULL) {
        if (!is_theirs())
            return -1;
        error = Py_None;
        Py_INCREF(error);
    }
    failed = error != Py_None;
    cancelled = failed ? 0 : asked(state, task, state->cancelled, str_cancelled);
    if (cancelled < 0) {
        Py_DECREF(error);
        return -1;
    }
    Py_INCREF(record); /* the table may have the only reference */
    fields->ended = at;
    fields->outcome = failed ? FAILED : cancelled ? CANCELLED : DONE;
    if (failed || state->named < state->most_named) {
        state->named++;
        told = PyObject_CallFunctionObjArgs(state->tell_end, record, task, error, NULL);
        Py_XDECREF(told);
        if (told == NULL)
            result = -1;
    } else if (fields->steps_reported < 0 && !fields->dirty && isnan(fields->counted)) {
        /* No viewer has heard of it, and those that are told by name are enough: it need not even be kept. */
        counts = lives_find(state->site_aggregates, fields->code, fields->lasti);
        if (counts != NULL) {
            counts_add(counts, fields);
            if (fields->loop != NULL)
                ((LoopClock *)fields->loop)->steps += fields->steps;
            fields->dirty = 1;
        }
    }
    Py_DECREF(error);
    if (!fields->dirty && result == 0)
        result = add_changed(state, record);
    if (records_find(state->records, task) == record)
        records_remove(state->records, fields->key);
    Py_DECREF(record);
    return result;
}

static int add_to_histogram(PyObject *histogram, double elapsed, double waited) {
    PyObject *result, *step = PyFloat_FromDouble(elapsed), *wait = PyFloat_FromDouble(waited);
    result = step && wait ? PyObject_CallMethodObjArgs(histogram, str_add, step, wait, NULL) : NULL;
    Py_XDECREF(step);
    Py_XDECREF(wait);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int tell_slow(State *state, PyObject *loop, PyObject *callback, PyObject *record, double started, double took) {
    PyObject *from = PyFloat_FromDouble(started), *length = PyFloat_FromDouble(took), *result = NULL;
    PyObject *function = state->on_slow;
    Py_XINCREF(function); /* whoever sets another while it runs lets go of it */
    if (from != NULL && length != NULL && function != NULL)
        result = PyObject_CallFunctionObjArgs(function, loop, callback, record ? record : Py_None, from, length, NULL);
    Py_XDECREF(function);
    Py_XDECREF(from);
    Py_XDECREF(length);
    Py_XDECREF(result);
    return result == NULL && PyErr_Occurred() ? -1 : 0;
}

/* Books a callback that has run to its task, if it was a step of one. */
static int account_step(State *state, PyObject *loop, PyObject *callback, double ready, double started, double elapsed) {
    LoopClock *clock = (LoopClock *)loop;
    PyObject *task = NULL, *record = NULL, *result;
    Fields *fields;
    int step = step_of(state, callback, &task), done, failed = 0;
    double ended = started + elapsed;
    if (UNLIKELY(state->closed))
        step = NO_STEP;
    if (step != NO_STEP) {
        record = records_find(state->records, task);
        if (record != NULL && REFERENT(record) != task)
            record = NULL;
        if (record == NULL && Py_TYPE(callback) != &PyMethod_Type) {
            /* It was made by calling `asyncio.Task`: its steps count from the next one on. */
            result = PyObject_CallFunctionObjArgs(state->adopt, task, loop, NULL);
            if (result == NULL)
                return -1;
            Py_DECREF(result);
        }
    }
    if (record == NULL) {
        clock->nested = 0.0;
        return elapsed >= state->slow_threshold ? tell_slow(state, loop, callback, NULL, started, elapsed) : 0;
    }
    Py_INCREF(record);
    fields = FIELDS(record);
    if (UNLIKELY(elapsed >= state->slow_threshold))
        failed = tell_slow(state, loop, callback, record, started, elapsed);
    if (UNLIKELY(clock->nested != 0.0)) {
        elapsed = elapsed > clock->nested ? elapsed - clock->nested : 0.0;
        clock->nested = 0.0;
    }
    fields->steps++;
    fields->busy += elapsed;
    if (elapsed > fields->max_step)
        fields->max_step = elapsed;
    if (ready != 0.0)
        fields->scheduled += started - ready;
    if (UNLIKELY(fields->extra != NULL && fields->extra->histogram != NULL) && !failed) {
        PyObject *histogram = fields->extra->histogram;
        Py_INCREF(histogram);
        failed = add_to_histogram(histogram, elapsed, ready != 0.0 ? started - ready : 0.0);
        Py_DECREF(histogram);
    }
    if (!failed) {
        done = asked(state, task, state->done, str_done);
        if (done < 0)
            failed = -1;
        else if (done)
            failed = finish(state, record, task, ended);
        else if (!fields->dirty)
            failed = add_changed(state, record);
    }
    Py_DECREF(record);
    return failed;
}

/* Handle._run */

static PyObject *call_original(Hook *hook, PyObject *const *args, size_t nargsf, PyObject *names) {
    return PyObject_Vectorcall(hook->original, args, (size_t)NARGS(nargsf), names);
}

static PyObject *call_fallback(Hook *hook, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *function = hook->fallback != NULL ? hook->fallback : hook->original;
    return PyObject_Vectorcall(function, args, (size_t)NARGS(nargsf), names);
}

#define MOST_ON_STACK 6

/* Calls a callback with the arguments of a tuple. */
static PyObject *call_with(PyObject *callback, PyObject *arguments) {
    PyObject *stack[MOST_ON_STACK + 1];
    Py_ssize_t index, count = PyTuple_Size(arguments);
    if (count > MOST_ON_STACK)
        return PyObject_Call(callback, arguments, NULL);
    for (index = 0; index < count; index++)
        stack[index + 1] = PyTuple_GetItem(arguments, index);
    return PyObject_Vectorcall(callback, stack + 1, (size_t)count | OFFSET_FLAG, NULL);
}

/* A context that raises again what a callback has raised, once. */
typedef struct {
    PyObject_HEAD
    State *state;     /* while asyncio's `_run` has the handle, and has not asked for its context; else NULL */
    PyObject *handle; /* borrowed: whoever called the hook holds it */
    PyObject *context, *arguments, *type, *value, *traceback;
} ReraisingContext;

/* Puts back into the handle what was there. */
static void put_back(ReraisingContext *self) {
    State *state = self->state;
    PyObject *ours = SLOT(self->handle, state, CONTEXT), *arguments = SLOT(self->handle, state, ARGS);
    SLOT(self->handle, state, CONTEXT) = self->context;
    SLOT(self->handle, state, ARGS) = self->arguments;
    self->state = NULL;
    self->context = self->arguments = NULL;
    Py_XDECREF(ours);
    Py_XDECREF(arguments);
}

static PyObject *raised_run(PyObject *op, PyObject *args, PyObject *kwargs) {
    ReraisingContext *self = (ReraisingContext *)op;
    PyObject *type = self->type, *value = self->value, *traceback = self->traceback;
    if (self->state != NULL)
        put_back(self); /* whoever made this one holds it */
    self->type = self->value = self->traceback = NULL;
    if (type == NULL)
        PyErr_SetString(PyExc_RuntimeError, "raised already");
    else
        PyErr_Restore(type, value, traceback);
    return NULL;
}

static int raised_traverse(PyObject *op, visitproc visit, void *arg) {
    ReraisingContext *self = (ReraisingContext *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->context);
    Py_VISIT(self->arguments);
    Py_VISIT(self->type);
    Py_VISIT(self->value);
    Py_VISIT(self->traceback);
    return 0;
}

static int raised_clear(PyObject *op) {
    ReraisingContext *self = (ReraisingContext *)op;
    Py_CLEAR(self->context);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->type);
    Py_CLEAR(self->value);
    Py_CLEAR(self->traceback);
    return 0;
}

static void raised_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(op);
    raised_clear(op);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef raised_methods[] = {
    {"run", (PyCFunction)(void (*)(void))raised_run, METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL},
};
static PyType_Slot raised_slots[] = {
    {Py_tp_methods, raised_methods},   {Py_tp_traverse, raised_traverse}, {Py_tp_clear, raised_clear},
    {Py_tp_dealloc, raised_dealloc}, {0, NULL},
};
PyType_Spec raised_spec = {
    .name = "probes.hooks._native.ReraisingContext",
    .basicsize = sizeof(ReraisingContext),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = raised_slots,
};

/* Lets asyncio's `_run` meet the exception that is set now, as if it came from the callback of the handle. */
static PyObject *raise_in_asyncios(Hook *hook, PyObject *handle, PyObject *arguments) {
    State *state = hook->state;
    PyObject *type, *value, *traceback, *result;
    ReraisingContext *raised;
    PyErr_Fetch(&type, &value, &traceback);
    raised = PyObject_GC_New(ReraisingContext, state->raised_type);
    if (raised == NULL) {
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    raised->state = state;
    raised->handle = handle;
    raised->type = type;
    raised->value = value;
    raised->traceback = traceback;
    raised->context = SLOT(handle, state, CONTEXT);
    Py_INCREF((PyObject *)raised);
    SLOT(handle, state, CONTEXT) = (PyObject *)raised;
    raised->arguments = SLOT(handle, state, ARGS); /* None where it was cancelled meanwhile */
    Py_INCREF(arguments);
    SLOT(handle, state, ARGS) = arguments;
    PyObject_GC_Track((PyObject *)raised);
    result = PyObject_Vectorcall(hook->original, &handle, 1, NULL);
    if (raised->state != NULL)
        put_back(raised);
    Py_DECREF((PyObject *)raised);
    return result;
}

static PyObject *run(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    PyObject *handle, *callback, *arguments, *context, *loop, *clock_object, *result;
    PyTypeObject *type;
    LoopClock *clock;
    double started, elapsed, ready = 0.0;
    if (UNLIKELY(NARGS(nargsf) != 1 || (names != NULL && PyTuple_Size(names) != 0)))
        return call_original(hook, args, nargsf, names);
    handle = args[0];
    type = Py_TYPE(handle);
    if (type == state->timed_type)
        ready = *(double *)((char *)handle + state->ready_offset);
    else if (type != state->handle_type && type != state->timer_type && !PyType_IsSubtype(type, state->handle_type))
        return call_original(hook, args, nargsf, names);
    callback = SLOT(handle, state, CALLBACK);
    arguments = SLOT(handle, state, ARGS);
    context = SLOT(handle, state, CONTEXT);
    loop = SLOT(handle, state, LOOP);
    if (UNLIKELY(callback == NULL || arguments == NULL || context == NULL || loop == NULL ||
                 Py_TYPE(arguments) != &PyTuple_Type))
        return call_original(hook, args, nargsf, names);
    /* A handle that is cancelled lets go of these: while it runs, and before, since to look up a loop may run code of
     * the program's (its hash, its comparison). */
    Py_INCREF(callback);
    Py_INCREF(arguments);
    Py_INCREF(context);
    Py_INCREF(loop);
    clock_object = find_loop(state, loop);
    Py_DECREF(loop);
    if (UNLIKELY(clock_object == NULL)) {
        result = swallow(state, "run") < 0 ? NULL : call_original(hook, args, nargsf, names);
        goto out;
    }
    clock = (LoopClock *)clock_object;
    clock->nested = 0.0; /* of a step that was not timed */
    clock->started = started = now();
    /* A handle that was made in debug mode runs in asyncio's own `_run`: stacks are kept then, with its frame. */
    if (LIKELY(hook->asyncios && Py_TYPE(context) == &PyContext_Type && SLOT(handle, state, SOURCE) == Py_None)) {
        if (LIKELY(PyContext_Enter(context) == 0)) {
            result = call_with(callback, arguments);
            if (UNLIKELY(PyContext_Exit(context) < 0))
                Py_CLEAR(result);
        } else
            result = NULL;
        if (LIKELY(result != NULL)) {
            Py_DECREF(result);
            result = Py_None;
            Py_INCREF(result);
        } else
            result = raise_in_asyncios(hook, handle, arguments);
    } else
        result = call_original(hook, args, nargsf, names);
    elapsed = now() - started;
    clock->started = 0.0;
    clock->busy += elapsed;
    if (LIKELY(result != NULL)) {
        if (UNLIKELY(account_step(state, clock_object, callback, ready, started, elapsed) < 0)) {
            if (state->watching ? swallow(state, "run") < 0 : (PyErr_Clear(), 0))
                Py_CLEAR(result);
        }
    }
    Py_DECREF(clock_object);
out:
    /* Not before: these may be the last references to the task. */
    Py_DECREF(context);
    Py_DECREF(arguments);
    Py_DECREF(callback);
    return result;
}

/* BaseEventLoop.call_soon */

/* The context among the keywords: NULL and 0 for none, -1 for other keywords. */
static int find_context(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **context) {
    PyObject *name;
    *context = NULL;
    if (names == NULL || PyTuple_Size(names) == 0)
        return 0;
    if (PyTuple_Size(names) != 1)
        return -1;
    name = PyTuple_GetItem(names, 0);
    if (name != str_context && PyUnicode_Compare(name, str_context) != 0)
        return -1;
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

static PyObject *call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    Py_ssize_t count = NARGS(nargsf);
    PyObject *context, *handle, *arguments, *result;
    if (UNLIKELY(count == 3 && is_cancelled(state, args[1], args[2]) &&
                 note_cancel(state, args[0], args[1], args[2]) < 0))
        return NULL;
    if (UNLIKELY(count < 2 || find_context(args, count, names, &context) < 0) || needs_asyncio_path(state, args[0]))
        return call_fallback(hook, args, nargsf, names);
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
    *(double *)((char *)handle + state->ready_offset) = now();
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
    PyObject *callback, *arguments, *loop;
    double ready;
} Step;

static PyObject *step_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Step *self = (Step *)op;
    State *state = self->state;
    PyObject *clock_object, *result, *callback = self->callback;
    LoopClock *clock;
    double started, elapsed;
    if (callback == NULL)
        Py_RETURN_NONE;
    Py_INCREF(op); /* the handle that has it may be cancelled */
    clock_object = find_loop(state, self->loop);
    if (clock_object == NULL) {
        result = swallow(state, "run") < 0 ? NULL : call_with(callback, self->arguments);
        Py_DECREF(op);
        return result;
    }
    clock = (LoopClock *)clock_object;
    clock->nested = 0.0; /* of a step that was not timed */
    clock->started = started = now();
    result = call_with(callback, self->arguments);
    elapsed = now() - started;
    clock->started = 0.0;
    clock->busy += elapsed;
    if (result != NULL && account_step(state, clock_object, callback, self->ready, started, elapsed) < 0) {
        if (state->watching ? swallow(state, "run") < 0 : (PyErr_Clear(), 0))
            Py_CLEAR(result);
    }
    Py_DECREF(clock_object);
    Py_DECREF(op);
    return result;
}

static int step_traverse(PyObject *op, visitproc visit, void *arg) {
    Step *self = (Step *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->state);
    Py_VISIT(self->callback);
    Py_VISIT(self->arguments);
    Py_VISIT(self->loop);
    return 0;
}

static int step_clear(PyObject *op) {
    Step *self = (Step *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->loop);
    return 0;
}

static void step_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    PyObject *state = (PyObject *)((Step *)op)->state;
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(op);
    step_clear(op);
    Py_XDECREF(state);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMemberDef step_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Step, call), READONLY, NULL},
    {"__wrapped__", T_OBJECT, offsetof(Step, callback), READONLY, NULL},
    {NULL},
};
static PyType_Slot step_slots[] = {
    {Py_tp_call, NULL}, /* PyVectorcall_Call: a weak symbol, filled in by module.c */
    {Py_tp_members, step_members},     {Py_tp_traverse, step_traverse}, {Py_tp_clear, step_clear},
    {Py_tp_dealloc, step_dealloc}, {0, NULL},
};
PyType_Spec step_spec = {
    .name = "probes.hooks._native.Step",
    .basicsize = sizeof(Step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | (1UL << 11) /* HAVE_VECTORCALL */,
    .slots = step_slots,
};

static PyObject *foreign_call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    Py_ssize_t count = NARGS(nargsf);
    PyObject *context, *task = NULL, *result, *stack[3];
    Step *step;
    if (count < 2 || find_context(args, count, names, &context) < 0 || step_of(state, args[1], &task) == NO_STEP)
        return call_original(hook, args, nargsf, names);
    if (UNLIKELY(count == 3 && is_cancelled(state, args[1], args[2]) &&
                 note_cancel(state, args[0], args[1], args[2]) < 0))
        return NULL;
    step = PyObject_GC_New(Step, state->step_type);
    if (step == NULL)
        return NULL;
    step->call = step_call;
    Py_INCREF((PyObject *)state);
    step->state = state;
    Py_INCREF(args[1]);
    step->callback = args[1];
    Py_INCREF(args[0]);
    step->loop = args[0];
    step->arguments = tuple_of(args + 2, count - 2);
    step->ready = now();
    PyObject_GC_Track((PyObject *)step);
    if (step->arguments == NULL) {
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

/* create_task */

void forget(State *state) {
    int index;
    state->last_loop = NULL;
    Py_CLEAR(state->last_record);
    Py_CLEAR(state->last_keywords);
    for (index = 0; index < KINDS; index++) {
        Py_CLEAR(state->kinds[index].code);
        Py_CLEAR(state->sites[index].caller);
        Py_CLEAR(state->sites[index].made);
        Py_CLEAR(state->sites[index].code);
    }
}

/* The kind of file (sites.USER is 0) that a code object comes from, -1 with an error. Asked once for each code. */
static int kind_of(State *state, PyObject *code) {
    Kind *kind = &state->kinds[((uintptr_t)code >> 5) % KINDS];
    PyObject *answer, *old;
    long number;
    if (LIKELY(kind->code == code))
        return kind->kind;
    answer = PyObject_CallFunctionObjArgs(state->kind_of, code, NULL);
    if (answer == NULL)
        return -1;
    number = PyLong_AsLong(answer);
    Py_DECREF(answer);
    if (number < 0)
        return -1;
    old = kind->code;
    Py_INCREF(code);
    kind->code = code;
    kind->kind = (int)number;
    Py_XDECREF(old);
    return (int)number;
}

/* The creation site: the frame that called create_task, or the one that called that. 1: found; 0: look further. */
static int find_site(State *state, Fields *fields, PyFrameObject *frame, int *outermost) {
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    int kind = kind_of(state, code), inner = kind;
    if (kind > 0) {
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(code);
        *outermost = back == NULL;
        if (back == NULL)
            return 0;
        code = (PyObject *)PyFrame_GetCode(back);
        kind = kind_of(state, code);
        *outermost = kind == BOUNDARY || (kind == RUNNER && inner != RUNNER);
        if (kind == 0)
            fields->lasti = PyFrame_GetLasti(back);
        Py_DECREF(back);
    } else if (kind == 0)
        fields->lasti = PyFrame_GetLasti(frame);
    if (kind != 0) {
        Py_DECREF(code);
        return kind < 0 ? -1 : 0;
    }
    fields->code = code;
    return 1;
}

static void set_site(Fields *fields, PyObject *code, int lasti) {
    Py_XINCREF(code);
    fields->code = code;
    fields->lasti = lasti;
}

static int ask_for_site(State *state, Fields *fields, PyObject *coro, PyFrameObject *frame, int outermost) {
    PyObject *code, *found, *caller = NULL, *made = NULL;
    Site *site = NULL;
    int lasti = 0, done, at = 0;
    if (outermost) { /* then the answer depends on the caller and the coroutine function only */
        made = PyObject_GetAttr(coro, str_cr_code);
        if (made == NULL)
            PyErr_Clear();
    }
    if (made != NULL) {
        caller = (PyObject *)PyFrame_GetCode(frame);
        at = PyFrame_GetLasti(frame);
        site = &state->sites[(((uintptr_t)caller >> 4) ^ ((uintptr_t)made >> 5) ^ (uintptr_t)at) % KINDS];
        if (site->caller == caller && site->made == made && site->at == at) {
            set_site(fields, site->code, site->lasti);
            Py_XDECREF(made);
            Py_DECREF(caller);
            return 0;
        }
    }
    found = PyObject_CallFunctionObjArgs(state->site_of, coro, (PyObject *)frame, NULL);
    done = found != NULL && PyArg_ParseTuple(found, "Oi", &code, &lasti);
    if (done)
        set_site(fields, code == Py_None ? NULL : code, lasti);
    if (done && site != NULL) {
        Site old = *site;
        *site = (Site){caller, made, fields->code, at, lasti};
        Py_XINCREF(fields->code);
        caller = old.caller;
        made = old.made;
        Py_XDECREF(old.code);
    }
    Py_XDECREF(caller);
    Py_XDECREF(made);
    Py_XDECREF(found);
    return done ? 0 : -1;
}

/* The id of the record of the task that runs on a loop now, 0 for none. */
static int64_t find_parent(State *state, PyObject *loop, PyObject *clock) {
    PyObject *creator, *record, *asked = NULL;
    int64_t number = 0;
    if (state->current_tasks != NULL)
        creator = PyDict_GetItemWithError(state->current_tasks, loop);
    else {
        creator = asked = PyObject_Vectorcall(state->current_task, &loop, 1, NULL);
        if (asked == NULL && PyErr_ExceptionMatches(PyExc_RuntimeError))
            PyErr_Clear(); /* no loop runs in this thread */
    }
    if (creator != NULL && creator != Py_None) {
        record = records_find(state->records, creator);
        if (record != NULL && REFERENT(record) == creator)
            number = FIELDS(record)->id;
        else {
            Py_INCREF(creator);
            record = PyObject_CallFunctionObjArgs(state->adopt, creator, clock, NULL);
            Py_DECREF(creator);
            if (record != NULL && is_instance(record, state->record_type))
                number = FIELDS(record)->id;
            Py_XDECREF(record);
        }
    }
    Py_XDECREF(asked);
    return number;
}

static int add_origin(State *state, PyObject *record, PyFrameObject *frame) {
    PyObject *depth = PyLong_FromLong(state->origin_depth), *stack;
    int result;
    if (depth == NULL)
        return -1;
    stack = PyObject_CallFunctionObjArgs(state->stack_of, (PyObject *)frame, depth, NULL);
    Py_DECREF(depth);
    if (stack == NULL)
        return -1;
    result = PyObject_SetAttrString(record, "origin", stack);
    Py_DECREF(stack);
    return result;
}

static int register_task(State *state, PyObject *loop, PyObject *task, PyObject *coro, double born) {
    PyObject *record = record_new(state, task);
    PyFrameObject *frame = (PyFrameObject *)PyEval_GetFrame();
    Fields *fields;
    int result = -1, found, outermost = 0;
    if (record == NULL)
        return -1;
    fields = FIELDS(record);
    fields->born = born;
    fields->id = ++state->last_id;
    fields->loop = find_loop(state, loop);
    if (fields->loop == NULL)
        goto out;
    fields->parent = find_parent(state, loop, fields->loop);
    if (PyErr_Occurred())
        goto out;
    if (frame != NULL) {
        found = find_site(state, fields, frame, &outermost);
        if (found < 0 || (found == 0 && ask_for_site(state, fields, coro, frame, outermost) < 0))
            goto out;
        if (UNLIKELY(state->watching && state->origin_depth) && add_origin(state, record, frame) < 0)
            goto out;
    }
    result = state->closed ? 0 : records_put(state->records, record);
out:
    Py_DECREF(record);
    return result;
}

/* Task(coro, loop=loop), with the keywords of the time before: Task takes what it needs from them. */
static PyObject *new_task(State *state, PyObject *loop, PyObject *coro) {
    PyObject *keywords = NULL, *positional, *task;
    if (!is_followed(state, loop) || state->task_new == NULL || state->task_init == NULL) {
        PyObject *stack[2] = {coro, loop};
        return PyObject_Vectorcall((PyObject *)state->task_type, stack, 1, kw_loop);
    }
    keywords = state->last_keywords;
    Py_XINCREF(keywords);
    if (keywords == NULL) {
        keywords = PyDict_New();
        if (keywords == NULL || PyDict_SetItem(keywords, str_loop, loop) < 0) {
            Py_XDECREF(keywords);
            return NULL;
        }
        /* Making the dictionary may collect garbage, and with it run code that makes tasks on another loop. */
        if (is_followed(state, loop) && state->last_keywords == NULL) {
            Py_INCREF(keywords);
            state->last_keywords = keywords; /* keeps the loop, and goes when it stops */
        }
    }
    positional = PyTuple_New(1);
    if (positional == NULL) {
        Py_DECREF(keywords);
        return NULL;
    }
    Py_INCREF(coro);
    PyTuple_SetItem(positional, 0, coro);
    task = state->task_new(state->task_type, positional, keywords);
    if (task != NULL && state->task_init(task, positional, keywords) < 0)
        Py_CLEAR(task);
    Py_DECREF(positional);
    Py_DECREF(keywords);
    return task;
}

/* Makes the task as asyncio's own create_task does. `names` has been looked at: name and context, or whatever. */
static PyObject *make_task(Hook *hook, PyObject *loop, PyObject *coro, PyObject *const *values, PyObject *names) {
    State *state = hook->state;
    PyObject *factory = PyDict_GetItemWithError(state->tasks_module_dict, str_Task), *stack[4], *task, *name;
    Py_ssize_t index, count = names == NULL ? 0 : PyTuple_Size(names);
    if (factory == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_NameError, "name 'Task' is not defined");
        return NULL;
    }
    Py_INCREF(factory); /* what the program does meanwhile may put another in its place */
    stack[0] = coro;
    stack[1] = loop;
    if (hook->kind == CREATE_TASK) {
        stack[2] = stack[3] = Py_None;
        for (index = 0; index < count; index++) {
            name = PyTuple_GetItem(names, index);
            stack[name == str_name || PyUnicode_Compare(name, str_name) == 0 ? 2 : 3] = values[index];
        }
        if (LIKELY(stack[2] == Py_None && stack[3] == Py_None && factory == (PyObject *)state->task_type))
            task = new_task(state, loop, coro);
        else
            task = PyObject_Vectorcall(factory, stack, 1, kw_all);
    } else {
        PyObject *keywords, *positional;
        if (LIKELY(factory == (PyObject *)state->task_type)) {
            for (index = 0; index < count && PyTuple_GetItem(names, index) == str_name && values[index] == Py_None;)
                index++;
            if (index == count) {
                Py_DECREF(factory);
                return new_task(state, loop, coro);
            }
        }
        keywords = PyDict_New();
        positional = PyTuple_Pack(1, coro);
        int failed = keywords == NULL || positional == NULL || PyDict_SetItem(keywords, str_loop, loop) < 0;
        for (index = 0; index < count && !failed; index++)
            failed = PyDict_SetItem(keywords, PyTuple_GetItem(names, index), values[index]) < 0;
        task = failed ? NULL : PyObject_Call(factory, positional, keywords);
        Py_XDECREF(keywords);
        Py_XDECREF(positional);
    }
    Py_DECREF(factory);
    return task;
}

/* Whether keywords are what the fast way knows: name and context each once, or for later Pythons anything but those
 * which are the loop's or decide where the task begins. */
static int are_plain(Hook *hook, PyObject *names) {
    Py_ssize_t index, count = names == NULL ? 0 : PyTuple_Size(names);
    for (index = 0; index < count; index++) {
        PyObject *name = PyTuple_GetItem(names, index);
        if (hook->kind == CREATE_TASK) {
            if (name != str_name && name != str_context && PyUnicode_Compare(name, str_name) != 0 &&
                PyUnicode_Compare(name, str_context) != 0)
                return 0;
        } else if (PyUnicode_Compare(name, str_eager_start) == 0 || PyUnicode_Compare(name, str_loop) == 0)
            return 0;
    }
    return 1;
}

static PyObject *create_task(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    PyObject *loop, *task, *coro;
    double born;
    int factory;
    if (UNLIKELY(NARGS(nargsf) != 2 || (names != NULL && !are_plain(hook, names))))
        return call_fallback(hook, args, nargsf, names);
    loop = args[0];
    coro = args[1];
    if (hook->kind == FOREIGN_CREATE_TASK) {
        PyObject *set = PyObject_CallMethodObjArgs(loop, str_get_factory, NULL);
        factory = set == NULL ? -1 : set != Py_None;
        Py_XDECREF(set);
    } else {
        factory = is_set(loop, str_factory);
        if (factory == 0)
            factory = needs_asyncio_path(state, loop);
    }
    if (UNLIKELY(factory != 0)) {
        if (factory < 0)
            PyErr_Clear();
        return call_fallback(hook, args, nargsf, names);
    }
    born = now();
    if (hook->kind == FOREIGN_CREATE_TASK)
        task = call_original(hook, args, nargsf, names);
    else
        task = make_task(hook, loop, coro, args + 2, names);
    if (task == NULL || UNLIKELY(!is_instance(task, state->task_type) && !PyObject_HasAttr(task, str_waiter)))
        return task; /* somebody's loop made something else */
    if (UNLIKELY(register_task(state, loop, task, coro, born) < 0 && swallow(state, "create_task") < 0))
        Py_CLEAR(task);
    return task;
}

/* Hook */

vectorcall hook_function(int kind) {
    switch (kind) {
    case RUN:
        return run;
    case CALL_SOON:
        return call_soon;
    case FOREIGN_CALL_SOON:
        return foreign_call_soon;
    default:
        return create_task;
    }
}

static PyObject *hook_get(PyObject *op, PyObject *instance, PyObject *owner) {
    if (instance == NULL || instance == Py_None) {
        Py_INCREF(op);
        return op;
    }
    return PyMethod_New(op, instance);
}

static PyObject *hook_repr(PyObject *op) {
    PyObject *name = PyObject_GetAttrString(op, "__qualname__"), *text;
    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_Clear();
        Py_XDECREF(name);
        name = PyUnicode_FromString("hook");
    }
    text = name == NULL ? NULL : PyUnicode_FromFormat("<function %U at %p>", name, op);
    Py_XDECREF(name);
    return text;
}

static int hook_traverse(PyObject *op, visitproc visit, void *arg) {
    Hook *self = (Hook *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->state);
    Py_VISIT(self->original);
    Py_VISIT(self->fallback);
    Py_VISIT(self->dict);
    return 0;
}

static int hook_clear(PyObject *op) {
    Hook *self = (Hook *)op;
    Py_CLEAR(self->fallback);
    Py_CLEAR(self->dict);
    return 0;
}

static void hook_dealloc(PyObject *op) {
    Hook *self = (Hook *)op;
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    hook_clear(op);
    Py_XDECREF(self->original);
    Py_XDECREF((PyObject *)self->state);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMemberDef hook_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Hook, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Hook, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Hook, weakrefs), READONLY, NULL},
    {NULL},
};
static PyGetSetDef hook_getset[] = {
    {"__dict__", PyObject_GenericGetDict, NULL, NULL, NULL},
    {NULL},
};
static PyType_Slot hook_slots[] = {
    {Py_tp_call, NULL}, /* PyVectorcall_Call: a weak symbol, filled in by module.c */
    {Py_tp_descr_get, hook_get},       {Py_tp_repr, hook_repr},       {Py_tp_members, hook_members},
    {Py_tp_getset, hook_getset},       {Py_tp_traverse, hook_traverse}, {Py_tp_clear, hook_clear},
    {Py_tp_dealloc, hook_dealloc},     {0, NULL},
};
PyType_Spec hook_spec = {
    .name = "probes.hooks._native.Hook",
    .basicsize = sizeof(Hook),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE | (1UL << 11) /* HAVE_VECTORCALL */ | (1UL << 17) /* METHOD_DESCRIPTOR */,
    .slots = hook_slots,
};
