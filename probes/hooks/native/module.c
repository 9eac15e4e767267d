/* The module: the state that hooks and sampler share, and learning where asyncio keeps what. */
#include "hooks.h"
#include <stddef.h>
#include <string.h>

PyObject *find_loop(State *state, PyObject *loop) {
    PyObject *clock;
    int known;
    if (LIKELY(loop == state->last_loop)) {
        Py_INCREF(state->last_record);
        return state->last_record;
    }
    clock = PyDict_GetItemWithError(state->loops, loop); /* may run code of the program's: the loop's hash */
    known = clock != NULL;
    Py_XINCREF(clock);
    if (!known && PyErr_Occurred()) { /* a handle's loop may be any object */
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
    }
    if (!known && state->on_loop != NULL) {
        PyObject *function = state->on_loop;
        Py_INCREF(function);
        clock = PyObject_CallFunctionObjArgs(function, loop, NULL);
        Py_DECREF(function);
    }
    if (clock == NULL || !PyObject_TypeCheck(clock, state->clock_type)) {
        Py_XDECREF(clock);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a LoopRecord is expected");
        return NULL;
    }
    if (known) {
        PyObject *record = state->last_record, *keywords = state->last_keywords;
        Py_INCREF(clock);
        state->last_loop = loop; /* only compared: it may be gone; code that removes it from `loops` calls forget_loops */
        state->last_record = clock;
        state->last_keywords = NULL;
        Py_XDECREF(record); /* only now: dropping them may run code that calls this again */
        Py_XDECREF(keywords);
    }
    return clock;
}

static Py_ssize_t size_of(PyObject *type) {
    PyObject *size = PyObject_GetAttrString(type, "__basicsize__");
    Py_ssize_t result = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    return result;
}

/* Where in an object the pointer to another is: exactly one place, or an error. */
Py_ssize_t offset_of(PyObject *object, PyObject *wanted, const char *what) {
    Py_ssize_t size = size_of((PyObject *)Py_TYPE(object)), offset, found = -1;
    int count = 0;
    for (offset = sizeof(PyObject); offset + (Py_ssize_t)sizeof(void *) <= size; offset += sizeof(void *))
        if (*(PyObject **)((char *)object + offset) == wanted) {
            found = offset;
            count++;
        }
    if (count == 1)
        return found;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_TypeError, "%s of this Python is not known", what);
    return -1;
}

/* learn_handle(Handle, TimerHandle): the slots of a Handle. Makes the type of timed handles. */
static PyObject *learn_handle(PyObject *op, PyObject *args) {
    static const char *names[SLOTS] = {"_callback", "_args", "_cancelled", "_loop", "_source_traceback", "_repr",
                                       "_context"};
    static PyMemberDef members[2];
    static PyType_Slot slots[] = {{Py_tp_members, members}, {0, NULL}};
    static PyType_Spec spec = {.name = "asyncio.events.Handle", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
    State *self = (State *)op;
    PyObject *handle_type, *timer_type, *handle = NULL, *bases = NULL, *timed = NULL;
    Py_ssize_t size;
    int index;
    if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &handle_type, &PyType_Type, &timer_type))
        return NULL;
    size = size_of(handle_type);
    if (size < 0)
        return NULL;
    handle = PyType_GenericAlloc((PyTypeObject *)handle_type, 0);
    for (index = 0; handle != NULL && index < SLOTS; index++) {
        PyObject *known = PyObject_CallObject((PyObject *)&PyBaseObject_Type, NULL);
        if (known == NULL || PyObject_SetAttrString(handle, names[index], known) < 0)
            self->slots[index] = -1;
        else
            self->slots[index] = offset_of(handle, known, "Handle");
        Py_XDECREF(known);
        if (self->slots[index] < 0)
            goto out;
    }
    members[0] = (PyMemberDef){"ready", T_DOUBLE, size, 0, NULL};
    /* Larger than it need be: a double more than asyncio's Handle is the size of a TimerHandle, and those of the
     * program, which live long, came to lie in the gaps that these leave; its collections took a tenth more. */
    spec.basicsize = (int)(size + 3 * sizeof(double));
    bases = PyTuple_Pack(1, handle_type);
    timed = handle == NULL || bases == NULL ? NULL : PyType_FromSpecWithBases(&spec, bases);
    if (timed == NULL)
        goto out;
    self->ready_offset = size;
    Py_INCREF((PyObject *)handle_type);
    Py_INCREF((PyObject *)timer_type);
    Py_INCREF((PyObject *)timed);
    self->handle_type = (PyTypeObject *)handle_type;
    self->timer_type = (PyTypeObject *)timer_type;
    self->timed_type = (PyTypeObject *)timed;
out:
    Py_XDECREF(handle);
    Py_XDECREF(bases);
    return timed;
}

/* The C function behind a bound builtin method, if it is called as those without arguments (or with one) are. */
static PyCFunction function_of(PyObject *object, const char *name, int flags) {
    PyObject *method = PyObject_GetAttrString(object, name);
    PyCFunction function = NULL;
    if (method != NULL && Py_TYPE(method) == &PyCFunction_Type && PyCFunction_GetFlags(method) == flags)
        function = PyCFunction_GetFunction(method);
    Py_XDECREF(method);
    PyErr_Clear();
    return function;
}

/* The descriptor of an attribute that a type has in C; NULL, without an error, of any other. */
static PyObject *getter_of(PyObject *type, const char *name) {
    PyObject *found = PyObject_GetAttrString(type, name);
    if (found != NULL && Py_TYPE(found) != &PyGetSetDescr_Type && Py_TYPE(found) != &PyMemberDescr_Type)
        Py_CLEAR(found);
    PyErr_Clear();
    return found;
}

/* The function of a descriptor that `getter_of` found; NULL if it is none that needs the object only. */
static getter function_of_getter(PyTypeObject *type, PyObject *descriptor, const char *name) {
    PyGetSetDef *one = descriptor != NULL && Py_TYPE(descriptor) == &PyGetSetDescr_Type ? PyType_GetSlot(type, Py_tp_getset) : NULL;
    for (; one != NULL && one->name != NULL; one++)
        if (strcmp(one->name, name) == 0 && one->closure == NULL)
            return one->get;
    PyErr_Clear();
    return NULL;
}

/* learn_task(Task, task, first_step, deque): the callback of a first step, and methods of tasks and deques. */
static PyObject *learn_task(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *type, *task, *first_step, *deque;
    if (!PyArg_ParseTuple(args, "O!OOO", &PyType_Type, &type, &task, &first_step, &deque))
        return NULL;
    self->first_step_offset = offset_of(first_step, task, "the first step of a task");
    if (self->first_step_offset < 0)
        return NULL;
    Py_INCREF((PyObject *)type);
    self->task_type = (PyTypeObject *)type;
    self->first_step_type = Py_TYPE(first_step);
    Py_INCREF((PyObject *)self->first_step_type);
    self->task_new = PyType_GetSlot((PyTypeObject *)type, Py_tp_new);
    self->task_init = PyType_GetSlot((PyTypeObject *)type, Py_tp_init);
    self->done = function_of(task, "done", METH_NOARGS);
    self->get_coro = function_of(task, "get_coro", METH_NOARGS);
    self->result = function_of(task, "result", METH_NOARGS);
    self->loop_getter = getter_of(type, "_loop");
    self->exception_getter = getter_of(type, "_exception");
    self->exception_of = function_of_getter(self->task_type, self->exception_getter, "_exception");
    self->waiter_getter = getter_of(type, "_fut_waiter");
    self->cancelled = function_of(task, "cancelled", METH_NOARGS);
    self->deque_type = Py_TYPE(deque);
    Py_INCREF((PyObject *)self->deque_type);
    self->append = function_of(deque, "append", METH_O);
    Py_RETURN_NONE;
}

/* learn_code(*coroutines): where their code is. They are in different states, and of different functions. */
static PyObject *learn_code(PyObject *op, PyObject *coroutines) {
    State *self = (State *)op;
    PyObject *coro, *code;
    Py_ssize_t size, offset, found = 0, index, count = PyTuple_Size(coroutines);
    if (count == 0)
        Py_RETURN_FALSE;
    size = size_of((PyObject *)Py_TYPE(PyTuple_GetItem(coroutines, 0)));
    if (size < 0)
        return NULL;
    for (offset = sizeof(PyObject); found == 0 && offset + (Py_ssize_t)sizeof(void *) <= size; offset += sizeof(void *)) {
        for (index = 0; index < count; index++) {
            coro = PyTuple_GetItem(coroutines, index);
            code = PyObject_GetAttr(coro, str_cr_code);
            if (code == NULL)
                return NULL;
            Py_DECREF(code); /* its function has it */
            if (Py_TYPE(coro) != Py_TYPE(PyTuple_GetItem(coroutines, 0)) || *(PyObject **)((char *)coro + offset) != code)
                break;
            if (self->code_type == NULL) {
                Py_INCREF((PyObject *)Py_TYPE(code));
                self->code_type = Py_TYPE(code);
            }
        }
        if (index == count)
            found = offset;
    }
    self->code_offset = found;
    return PyBool_FromLong(found != 0);
}

/* learn_cancels(future): how a future is asked whether it is cancelled; a task, which is one, is asked the same way. */
static PyObject *learn_cancels(PyObject *op, PyObject *future) {
    State *self = (State *)op;
    PyObject *base = self->task_type == NULL ? NULL : PyType_GetSlot(self->task_type, Py_tp_base);
    PyCFunction function = function_of(future, "cancelled", METH_NOARGS);
    /* If a task is no such future, or has another `cancelled`, cancellers are not noted. */
    if (self->future_type == NULL && base == (PyObject *)Py_TYPE(future) && function != NULL &&
        function == self->cancelled) {
        Py_INCREF(base);
        self->future_type = (PyTypeObject *)base;
        self->future_cancelled = function;
        self->future_done = function_of(future, "done", METH_NOARGS);
    }
    Py_RETURN_NONE;
}

/* hook(kind, original, fallback, asyncios): a Hook that replaces `original`. */
static PyObject *make_hook(PyObject *op, PyObject *args) {
    static const char *kinds[] = {"run", "call_soon", "foreign_call_soon", "create_task", "create_task_kwargs",
                                  "foreign_create_task", NULL};
    State *self = (State *)op;
    PyObject *original, *fallback;
    const char *name;
    int kind, asyncios;
    Hook *hook;
    if (!PyArg_ParseTuple(args, "sOOp", &name, &original, &fallback, &asyncios))
        return NULL;
    for (kind = 0; kinds[kind] != NULL && strcmp(kinds[kind], name) != 0; kind++)
        ;
    if (kinds[kind] == NULL || self->timed_type == NULL || self->task_type == NULL || self->adopt == NULL)
        return PyErr_Format(PyExc_ValueError, "no such hook, or nothing learnt yet: %s", name);
    hook = PyObject_GC_New(Hook, self->hook_type);
    if (hook == NULL)
        return NULL;
    hook->call = hook_function(kind);
    hook->kind = kind;
    hook->asyncios = (char)asyncios;
    Py_INCREF((PyObject *)self);
    hook->state = self;
    Py_INCREF(original);
    hook->original = original;
    hook->fallback = fallback == Py_None ? NULL : fallback;
    Py_XINCREF(hook->fallback);
    hook->dict = hook->weakrefs = NULL;
    PyObject_GC_Track((PyObject *)hook);
    return (PyObject *)hook;
}

static PyObject *next_id(PyObject *op, PyObject *unused) { return PyLong_FromLongLong(++((State *)op)->last_id); }

static void forget(State *state) {
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

static PyObject *forget_loops(PyObject *op, PyObject *unused) {
    forget((State *)op);
    return end_rest(op, NULL);
}

/* Bytes of the tables, for measurements. */
static PyObject *footprint(PyObject *op, PyObject *unused) {
    State *self = (State *)op;
    return PyLong_FromSsize_t(self->records->size * (Py_ssize_t)sizeof(uint64_t) +
                              self->changed->size * (Py_ssize_t)sizeof(PyObject *));
}

#define OBJECTS(X)                                                                                                    \
    X(record_type) X(clock_type) X(counts_type) X(hook_type) X(step_type) X(reraising_type) X(timed_type)                \
    X(handle_type) X(timer_type) X(task_type) X(future_type) X(first_step_type) X(deque_type) X(records) X(changed) X(site_aggregates)   \
    X(python_step) X(making) X(loops) X(last_record) X(last_keywords) X(one) X(current_tasks) X(current_task) X(tasks_module_dict) X(on_loop) X(on_slow) X(on_error) X(on_cancel)   \
    X(adopt) X(report_end) X(kind_of) X(site_of) X(stack_of) X(coroutine_type) X(on_group) X(on_source) X(on_label)  \
    X(on_status) X(on_site_group) X(loop_getter) X(exception_getter) X(waiter_getter) X(label_variable) X(on_seen) X(later) X(on_later) \
    X(group_type) X(code_type) X(context_names)

static int state_traverse(PyObject *op, visitproc visit, void *arg) {
    State *self = (State *)op;
    int index;
    Py_VISIT(Py_TYPE(op));
#define VISIT(name) Py_VISIT((PyObject *)self->name);
    OBJECTS(VISIT)
    for (index = 0; index < KINDS; index++) {
        Py_VISIT(self->kinds[index].code);
        Py_VISIT(self->sites[index].caller);
        Py_VISIT(self->sites[index].made);
        Py_VISIT(self->sites[index].code);
    }
    for (index = 0; index < GROUPS; index++) {
        Py_VISIT(self->groups[index]);
        Py_VISIT(self->site_groups[index].code);
        Py_VISIT(self->site_groups[index].group);
    }
    return 0;
}

/* Hooks may be called as long as they live, so what they rely on is released with the state only. */
static int state_clear(PyObject *op) {
    State *self = (State *)op;
    forget(self);
    groups_forget(self);
    Py_CLEAR(self->on_slow);
    Py_CLEAR(self->on_error);
    Py_CLEAR(self->on_cancel);
    return 0;
}

static void state_dealloc(PyObject *op) {
    State *self = (State *)op;
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    int index;
    PyObject_GC_UnTrack(op);
    forget(self);
    trace_free(self);
    steps_free(self);
    waits_free(self);
    for (index = 0; index < GENERATIONS; index++)
        distribution_free(&self->collections[index]);
    if (self->alarm != NULL)
        PyThread_free_lock(self->alarm);
    groups_forget(self);
#define DROP(name) Py_XDECREF((PyObject *)self->name);
    OBJECTS(DROP)
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMemberDef state_members[] = {
    {"watching", T_BOOL, offsetof(State, watching), 0, NULL},
    {"closed", T_BOOL, offsetof(State, closed), 0, NULL},
    {"slow_threshold", T_DOUBLE, offsetof(State, slow_threshold), 0, NULL},
    {"origin_depth", T_INT, offsetof(State, origin_depth), 0, NULL},
    {"named", T_INT, offsetof(State, named), 0, NULL},
    {"most_named", T_INT, offsetof(State, most_named), 0, NULL},
    {"lost", T_LONGLONG, offsetof(State, lost), 0, NULL},
    {"steps_of_others", T_INT, offsetof(State, steps_of_others), READONLY, NULL},
    {"rest_ends", T_LONGLONG, offsetof(State, rest_ends), READONLY, NULL},
    {"records", T_OBJECT, offsetof(State, records), READONLY, NULL},
    {"changed", T_OBJECT, offsetof(State, changed), READONLY, NULL},
    {"site_aggregates", T_OBJECT, offsetof(State, site_aggregates), READONLY, NULL},
    {"loops", T_OBJECT, offsetof(State, loops), READONLY, NULL},
    {"python_step", T_OBJECT, offsetof(State, python_step), 0, NULL},
    {"making", T_OBJECT, offsetof(State, making), 0, NULL},
    {"on_loop", T_OBJECT, offsetof(State, on_loop), 0, NULL},
    {"on_slow", T_OBJECT, offsetof(State, on_slow), 0, NULL},
    {"on_error", T_OBJECT, offsetof(State, on_error), 0, NULL},
    {"on_cancel", T_OBJECT, offsetof(State, on_cancel), 0, NULL},
    {NULL},
};

/* learn_rest(adopt, report_end, kind_of, site_of, stack_of, current_tasks or None, current_task, tasks module) */
static PyObject *learn_rest(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *adopt, *report_end, *kind_of, *site_of, *stack_of, *current_tasks, *current_task, *module;
    if (!PyArg_ParseTuple(args, "OOOOOOOO", &adopt, &report_end, &kind_of, &site_of, &stack_of, &current_tasks,
                          &current_task, &module))
        return NULL;
    if (self->adopt != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "learnt already");
        return NULL;
    }
    self->tasks_module_dict = PyObject_GetAttrString(module, "__dict__");
    if (self->tasks_module_dict == NULL || !PyDict_Check(self->tasks_module_dict)) {
        PyErr_SetString(PyExc_TypeError, "a module is expected");
        return NULL;
    }
    if (current_tasks != Py_None && Py_TYPE(current_tasks) == &PyDict_Type) {
        Py_INCREF(current_tasks);
        self->current_tasks = current_tasks;
    }
#define KEEP(name)                                                                                                    \
    Py_INCREF(name);                                                                                                  \
    self->name = name;
    KEEP(current_task) KEEP(adopt) KEEP(report_end) KEEP(kind_of) KEEP(site_of) KEEP(stack_of)
    Py_RETURN_NONE;
}

static PyMethodDef state_methods[] = {
    {"learn_handle", learn_handle, METH_VARARGS, "The slots of a Handle; returns the type of timed handles."},
    {"learn_task", learn_task, METH_VARARGS, "The callback of a first step, and what is asked of tasks and deques."},
    {"learn_rest", learn_rest, METH_VARARGS, "What is asked in Python."},
    {"learn_code", learn_code, METH_VARARGS, "Where a coroutine has its code; False where that is not known."},
    {"learn_cancels", learn_cancels, METH_O, "How a future is asked whether it is cancelled."},
    {"rest", rest, METH_VARARGS, "Waits without the GIL until a loop no longer rests."},
    {"end_rest", end_rest, METH_NOARGS, "Ends that."},
    {"hook_new_tasks", hook_new_tasks, METH_NOARGS, "Has every new task registered, also those made by calling Task."},
    {"unhook_new_tasks", unhook_new_tasks, METH_NOARGS, "Ends that."},
    {"hook", make_hook, METH_VARARGS, "What takes the place of a function."},
    {"next_id", next_id, METH_NOARGS, "The next id of a task."},
    {"forget_loops", forget_loops, METH_NOARGS, "To be called whenever a loop leaves `loops`."},
    {"learn_groups", learn_groups, METH_VARARGS, "Type of coroutines; what makes a group, finds a source, reads a label."},
    {"enter_group", enter_group, METH_VARARGS, "Counts a record in the group of its coroutine."},
    {"leave_group", leave_group, METH_O, "Counts the end of a record in its group."},
    {"watch_variable", watch_variable, METH_VARARGS, "A context variable that is looked at after each step, and the function to call then; or None."},
    {"watch_later", watch_later, METH_VARARGS, "The source of tasks whose label is looked for after each step, and what looks."},
    {"forget_groups", forget_groups, METH_NOARGS, "Empties the cache of groups."},
    {"start_counting", start_counting, METH_O, "Sets a record to nothing counted yet, from now on."},
    {"trace_start", trace_start, METH_VARARGS, "Begins to record steps, in so many bytes."},
    {"trace_stop", trace_stop, METH_NOARGS, "Ends that and forgets them."},
    {"trace_detail", trace_detail, METH_O, "Whether more waits are described, since a viewer traces."},
    {"trace_mark", trace_mark, METH_NOARGS, "Where the ring is now."},
    {"trace_read", trace_read, METH_VARARGS, "Events from a position on."},
    {"trace_places", trace_places, METH_O, "Code objects and instructions from a number on."},
    {"trace_stats", trace_stats, METH_NOARGS, "Events written, room for events, waits not described."},
    {"trace_refers", trace_refers, METH_O, "Whether there is a weak reference to an object."},
    {"waits_start", waits_start, METH_NOARGS, "Begins to note waits as they end."},
    {"waits_stop", waits_stop, METH_NOARGS, "Ends that."},
    {"waits_take", waits_take, METH_NOARGS, "What was noted since the last call."},
    {"waits_stack", waits_stack, METH_O, "A stack by its number, as code objects and lines."},
    {"time_collections", time_collections, METH_O, "Begins to time collections of garbage; False where it cannot."},
    {"leave_collections", leave_collections, METH_NOARGS, "Ends that."},
    {"take_collections", take_collections, METH_NOARGS, "Seconds of all, and the longest since the last call."},
    {"collection_pauses", collection_pauses, METH_NOARGS, "Begin and end of the newest long ones."},
    {"collection_times", collection_times, METH_NOARGS, "For each generation seconds and a histogram."},
    {"learn_reading", learn_reading, METH_VARARGS, "What is needed to read stacks."},
    {"read", (PyCFunction)(void (*)(void))read_object, METH_FASTCALL, "Calls a function with the object of a weak reference."},
    {"hold", hold, METH_O, "Holds an object until what is read is read; returns it."},
    {"hold_all", hold_all, METH_O, "The same for each item of a list."},
    {"some_referents", some_referents, METH_VARARGS, "Some of what an object refers to, held likewise."},
    {"is_alive", is_alive, METH_O, "Whether the object of a weak reference exists."},
    {"drop_held", drop_held, METH_O, "Lets go of what a loop's thread has not let go of."},
    {"await_stack", await_stack, METH_O, "The await stack of a task, as code objects and lines."},
    {"await_values", await_values, METH_VARARGS, "Variables of its innermost frames."},
    {"own_place", own_place, METH_O, "Code, line and globals of a suspended coroutine."},
    {"thread_stacks", thread_stacks, METH_O, "The stacks of other threads."},
    {"other_threads", other_threads, METH_NOARGS, "The identities of all other threads."},
    {"running_record", running_record, METH_O, "The record of the task that runs on a loop."},
    {"state_of", state_of, METH_O, "The state of a task."},
    {"strangers", strangers, METH_VARARGS, "Tasks of a loop that the sampler does not know."},
    {"instances", instances, METH_VARARGS, "The objects of some classes."},
    {"footprint", footprint, METH_NOARGS, "Bytes of the tables."},
    {NULL},
};
static PyType_Slot state_slots[] = {
    {Py_tp_doc, "What the hooks share with the sampler."},
    {Py_tp_members, state_members},   {Py_tp_methods, state_methods}, {Py_tp_traverse, state_traverse},
    {Py_tp_clear, state_clear},       {Py_tp_dealloc, state_dealloc}, {0, NULL},
};
static PyType_Spec state_spec = {
    .name = "probes.hooks._native.State",
    .basicsize = sizeof(State),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = state_slots,
};

static PyTypeObject *make_type(PyType_Spec *spec, PyObject *base) {
    PyObject *bases = base == NULL ? NULL : PyTuple_Pack(1, base), *type;
    if (base != NULL && bases == NULL)
        return NULL;
    type = PyType_FromSpecWithBases(spec, bases);
    Py_XDECREF(bases);
    return (PyTypeObject *)type;
}

/* Types of objects that the collector does not know, and which hold nothing of a probe: made once for the process,
 * since a probe that leaves could not tell that nobody has them any more. */
static PyTypeObject *make_type_once(PyTypeObject **made, PyType_Spec *spec, PyTypeObject *base) {
    if (*made == NULL)
        *made = make_type(spec, (PyObject *)base);
    Py_XINCREF((PyObject *)*made);
    return *made;
}

/* clear_type(type): what the collector does to a type that is garbage, for who knows that it is. A type leads to itself
 * (`__mro__`), so nothing else ends it. */
static PyObject *clear_type(PyObject *module, PyObject *type) {
    inquiry clear = (inquiry)PyType_GetSlot(&PyType_Type, Py_tp_clear);
    if (!PyType_Check(type) || !(PyType_GetFlags((PyTypeObject *)type) & Py_TPFLAGS_HEAPTYPE) || clear == NULL) {
        PyErr_SetString(PyExc_TypeError, "a type that was made by a class statement is expected");
        return NULL;
    }
    clear(type);
    Py_RETURN_NONE;
}

/* make_state(most_changed, most_named) */
static PyObject *make_state(PyObject *module, PyObject *args) {
    PyObject *base = NULL, *state_type = NULL;
    Py_ssize_t most_changed;
    int most_named;
    State *self = NULL;
    static PyTypeObject *clock_type, *counts_type, *records_type, *changed_type, *aggregates_type, *group_type, *noting_type;
    if (!PyArg_ParseTuple(args, "ni", &most_changed, &most_named))
        return NULL;
    if (record_setup(&base) < 0 || strings_setup() < 0 || reading_setup() < 0 || noting_setup() < 0 ||
        (state_type = PyType_FromSpec(&state_spec)) == NULL)
        goto failed;
    self = (State *)PyType_GenericAlloc((PyTypeObject *)state_type, 0);
    if (self == NULL)
        goto failed;
    self->slow_threshold = 0.1;
    self->most_named = most_named;
    self->record_type = make_type(&record_spec, base);
    self->clock_type = make_type_once(&clock_type, &clock_spec, NULL);
    self->counts_type = make_type_once(&counts_type, &counts_spec, NULL);
    self->group_type = make_type_once(&group_type, &group_spec, NULL);
    self->hook_type = make_type(&hook_spec, NULL);
    self->step_type = make_type(&step_spec, NULL);
    self->reraising_type = make_type(&reraising_spec, NULL);
    self->loops = PyDict_New();
    if (!self->record_type || !self->clock_type || !self->counts_type || !self->group_type || !self->hook_type || !self->step_type ||
        !self->reraising_type || !self->loops)
        goto failed;
    if (make_type_once(&records_type, &records_spec, NULL) && make_type_once(&changed_type, &changed_spec, NULL) &&
        make_type_once(&aggregates_type, &aggregates_spec, NULL)) {
        self->records = (Records *)PyObject_CallFunction((PyObject *)records_type, "O", self->record_type);
        self->changed = (Changed *)PyObject_CallFunction((PyObject *)changed_type, "n", most_changed);
        self->site_aggregates = (SiteAggregates *)PyObject_CallFunction((PyObject *)aggregates_type, "O", self->counts_type);
    }
    if (!self->records || !self->changed || !self->site_aggregates ||
        make_type_once(&noting_type, &noting_spec, &PyDict_Type) == NULL ||
        PyModule_AddObjectRef(module, "Noting", (PyObject *)noting_type) < 0 ||
        PyModule_AddObjectRef(module, "TaskRecord", (PyObject *)self->record_type) < 0 ||
        PyModule_AddObjectRef(module, "LoopClock", (PyObject *)self->clock_type) < 0 ||
        PyModule_AddObjectRef(module, "SiteCounts", (PyObject *)self->counts_type) < 0 ||
        PyModule_AddObjectRef(module, "GroupCounts", (PyObject *)self->group_type) < 0)
        goto failed;
#ifdef __linux__
    static PyTypeObject *sampler_type, *gil_type;
    if (make_type_once(&sampler_type, &sampler_spec, NULL) == NULL || make_type_once(&gil_type, &gil_spec, NULL) == NULL ||
        PyModule_AddObjectRef(module, "Sampler", (PyObject *)sampler_type) < 0 ||
        PyModule_AddObjectRef(module, "GilSampler", (PyObject *)gil_type) < 0)
        goto failed;
#endif
    Py_DECREF(base);
    Py_DECREF(state_type);
    return (PyObject *)self;
failed:
    Py_XDECREF(base);
    Py_XDECREF(state_type);
    Py_XDECREF((PyObject *)self);
    return NULL;
}

static int is_there(void) {
    return PyObject_Vectorcall != NULL && PyVectorcall_Call != NULL && PyMethod_New != NULL && PyMethod_Self != NULL &&
           PyFrame_GetBack != NULL && PyFrame_GetLasti != NULL && PyContext_CopyCurrent != NULL &&
           PyContext_Enter != NULL && PyContext_Exit != NULL && (void *)&PyContext_Type != NULL &&
           (void *)&PyMethod_Type != NULL;
}

static int exec(PyObject *module) {
    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
        PyErr_SetString(PyExc_ImportError, "in a sub-interpreter");
        return -1;
    }
    if (!is_there()) {
        PyErr_SetString(PyExc_ImportError, "this Python lacks functions that they need");
        return -1;
    }
    hook_spec.slots[0].pfunc = (void *)PyVectorcall_Call;
    step_spec.slots[0].pfunc = (void *)PyVectorcall_Call;
    /* A program that was attached to keeps this file mapped, also when there is a newer one of the same name. */
    return PyModule_AddStringConstant(module, "BUILD", LOOPTOP_BUILD);
}

static PyMethodDef functions[] = {
    {"make_state", make_state, METH_VARARGS, "The state, once."},
    {"clear_type", clear_type, METH_O, "Ends a type that nobody has any more."},
    {NULL},
};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, exec}, {0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The hooks in C; births_in_python and steps_in_python have the same in Python.", 0, functions, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
