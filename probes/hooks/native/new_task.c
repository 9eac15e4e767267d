/* The hook of Task.__init__: tasks that no hook of create_task sees. `asyncio.Task(...)` is called by programs, by their
 * task factories, and by libraries: aiohttp starts each request eagerly that way.
 *
 * `Task` is a type in C and takes no attributes, so its slot `tp_init` is replaced, and what `super().__init__` of its
 * subclasses in Python calls: the function that the slot wrapper has. The program sees neither. Where the slot is in a
 * type is found in a type of this file's own.
 */
#include "hooks.h"

static State *active;     /* whose hook is in; NULL: the original does all */
static initproc original; /* asyncio's; kept forever, since a type that was missed may still lead here */

static int mark(PyObject *self, PyObject *args, PyObject *kwargs) { return 0; }

/* Where `tp_init` is in every type; -1 with an error if it is not found. */
static Py_ssize_t slot_offset(void) {
    static PyType_Slot slots[] = {{Py_tp_init, (void *)mark}, {0, NULL}};
    static PyType_Spec spec = {.name = "probes.hooks._native.Mark", .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
    static Py_ssize_t known;
    PyObject *type;
    if (known != 0)
        return known;
    type = PyType_FromSpec(&spec);
    if (type == NULL)
        return -1;
    known = offset_of(type, (PyObject *)(uintptr_t)mark, "the layout of types");
    Py_DECREF(type);
    if (known < 0) {
        known = 0;
        return -1;
    }
    return known;
}

#define INIT(type, offset) (*(initproc *)((char *)(type) + (offset)))

/* Replaces the slot in a type and in all that inherit it. */
static int replace(PyObject *type, Py_ssize_t offset, initproc from, initproc to) {
    PyObject *subclasses;
    Py_ssize_t index;
    int result = 0;
    if (INIT(type, offset) == from)
        INIT(type, offset) = to;
    subclasses = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    if (subclasses == NULL)
        return -1;
    for (index = 0; index < PyList_Size(subclasses) && result == 0; index++)
        result = replace(PyList_GetItem(subclasses, index), offset, from, to);
    Py_DECREF(subclasses);
    return result;
}

/* Where the slot wrapper `Task.__init__` has its function. NULL with an error. */
static initproc *wrapped(State *state, initproc from) {
    PyObject *wrapper = PyObject_GetAttrString((PyObject *)state->task_type, "__init__");
    Py_ssize_t offset = wrapper == NULL ? -1 : offset_of(wrapper, (PyObject *)(uintptr_t)from, "a slot wrapper");
    Py_XDECREF(wrapper); /* the type keeps it */
    return offset < 0 ? NULL : (initproc *)((char *)wrapper + offset);
}

/* The clock of a loop, a new reference or NULL; NULL, None: that of the loop that runs in this thread. */
static LoopClock *clock_of(State *state, PyObject *loop) {
    PyObject *clock = NULL, *running = NULL, *module;
    if ((loop == NULL || loop == Py_None) && (module = PyImport_ImportModule("asyncio.events")) != NULL) {
        loop = running = PyObject_CallMethod(module, "_get_running_loop", NULL);
        Py_DECREF(module);
    }
    if (loop != NULL && loop != Py_None)
        clock = find_loop(state, loop);
    if (UNLIKELY(clock == NULL))
        put_off();
    Py_XDECREF(running);
    return (LoopClock *)clock;
}

/* Makes a coroutine and what its label is read from known to those who look meanwhile, and takes what was known before. */
static void exchange_starting(LoopClock *clock, PyObject **coro, PyObject **source, double *since) {
    PyObject *before = clock->starting, *before_source = clock->starting_source;
    double before_since = clock->starting_since;
    clock->starting = *coro;
    clock->starting_source = *source;
    clock->starting_since = *since;
    *coro = before;
    *source = before_source;
    *since = before_since;
}

static int is_suspended(PyObject *coro, PyObject *name) {
    int suspended = is_true(coro, name);
    if (suspended < 0)
        put_off();
    return suspended > 0;
}

/* Accounts the first step of an eager task, which ran inside its creator's. `nested`: see `_book_eager` in Python. */
static int account_eager(State *state, PyObject *record, PyObject *task, PyObject *coro, double born, double nested) {
    Fields *fields = FIELDS(record);
    LoopClock *clock = (LoopClock *)fields->loop;
    int done = ask_task(state, task, state->done, str_done);
    double ended = now(), elapsed = ended - born, own;
    if (done < 0)
        return -1;
    if (!done && !is_suspended(coro, str_cr_suspended) && !is_suspended(coro, str_gi_suspended))
        return 0; /* its loop does not run yet, so it was not started */
    fields->eager = 1;
    if (!state->watching)
        return 0;
    own = elapsed - (clock->nested - nested);
    fields->steps = 1;
    fields->busy = own > 0.0 ? own : 0.0;
    fields->max_step = single_of(fields->busy);
    clock->nested = nested + elapsed;
    return done ? finish(state, record, task, ended, coro) : fields->dirty ? 0 : add_changed(state, record);
}

/* Counts an eager task that has ended in its first step and would be counted only, without making a record of it: birth,
 * step and end at once. 1: done; 0: it needs a record; -1 with an error. `loop` is its loop. */
static int count_at_once(State *state, PyObject *loop, PyObject *task, PyObject *coro, double born, double nested,
                         PyObject *group, PyObject *source) {
    Fields fields = {.born = born, .steps = 1, .eager = 1, .outcome = DONE};
    PyObject *record = records_find(state->records, task), *error, *clock_object;
    LoopClock *clock;
    SiteCounts *counts;
    int result = 0;
    if (!state->watching || state->named < state->most_named || group == NULL || state->origin_depth ||
        Py_TYPE(task) != state->task_type || state->exception_getter == NULL || state->cancelled == NULL ||
        (record != NULL && REFERENT(record) == task))
        return 0;
    if (ask_task(state, task, state->done, str_done) != 1 || ask_task(state, task, state->cancelled, str_cancelled) != 0)
        return PyErr_Occurred() ? -1 : 0;
    error = exception_of(state, task);
    if (error == NULL)
        return -1;
    Py_DECREF(error);
    if (error != Py_None)
        return 0;
    clock_object = find_loop(state, loop);
    if (clock_object == NULL)
        return -1;
    clock = (LoopClock *)clock_object;
    fields.loop = clock_object;
    fields.ended = now();
    fields.busy = fields.ended - born - (clock->nested - nested);
    if (fields.busy < 0.0)
        fields.busy = 0.0;
    if (find_birth(state, &fields, loop, clock_object, coro) < 0)
        result = -1;
    else if ((counts = aggregates_find(state->site_aggregates, fields.code, fields.lasti)) != NULL) {
        Py_INCREF((PyObject *)counts);
        fields.id = ++state->last_id;
        result = group_pass(state, group, source, task, &fields);
        if (result == 1) {
            clock->nested = nested + (fields.ended - born);
            clock->steps++;
            counts_add(counts, &fields);
            if (state->ring != NULL)
                trace_passed(state, &fields, coro);
        }
        Py_DECREF((PyObject *)counts);
    }
    Py_XDECREF(fields.code);
    Py_DECREF(clock_object);
    return result;
}

/* `loop`: that was asked for, or NULL. Takes the references of `group` and `source`. */
static int note(State *state, PyObject *loop, PyObject *task, PyObject *coro, double born, double nested, int eager,
                PyObject *group, PyObject *source) {
    PyObject *record = NULL;
    int result;
    if (loop == NULL || loop == Py_None || Py_TYPE(task) != state->task_type)
        loop = task_attribute(state, task, state->loop_getter, str_own_loop);
    else
        Py_INCREF(loop);
    result = loop == NULL ? -1 : eager ? count_at_once(state, loop, task, coro, born, nested, group, source) : 0;
    if (result) {
        Py_XDECREF(loop);
        Py_XDECREF(group);
        Py_XDECREF(source);
        return result < 0 ? -1 : 0;
    }
    source = group == NULL ? NULL : group_keepable(group, source);
    record = register_task(state, loop, task, coro, born, group, source);
    Py_DECREF(loop);
    if (record == NULL)
        return -1;
    result = eager ? account_eager(state, record, task, coro, born, nested) : 0;
    Py_DECREF(record);
    return result;
}

static int hooked(PyObject *task, PyObject *args, PyObject *kwargs) {
    State *state = active;
    PyObject *coro, *loop = NULL, *record, *group = NULL, *source = NULL, *starting, *starting_source;
    LoopClock *clock = NULL;
    double born, nested = 0.0, since;
    int eager = 0, result;
    if (state == NULL || state->closed)
        return original(task, args, kwargs);
    coro = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : NULL;
    if (kwargs != NULL) {
        PyObject *name, *value, *flag = NULL;
        Py_ssize_t place = 0;
        int others = coro == NULL;
        while (!others && PyDict_Next(kwargs, &place, &name, &value)) {
            if (name == str_loop)
                loop = value;
            else if (name == str_eager_start)
                flag = value;
            else
                others = name != str_name && name != str_context; /* or not interned */
        }
        if (UNLIKELY(others)) {
            if (coro == NULL)
                coro = PyDict_GetItemWithError(kwargs, str_coro);
            loop = PyDict_GetItemWithError(kwargs, str_loop);
            flag = PyDict_GetItemWithError(kwargs, str_eager_start);
        }
        eager = flag != NULL && flag != Py_None && flag != Py_False;
    }
    record = records_find(state->records, task);
    if (coro == NULL || coro == state->making || (record != NULL && REFERENT(record) == task))
        return original(task, args, kwargs);
    Py_INCREF((PyObject *)state); /* the probe may leave meanwhile */
    Py_INCREF(coro);
    if (eager) {
        clock = clock_of(state, loop);
        nested = clock == NULL ? 0.0 : clock->nested;
        if (state->watching && group_prepare(state, coro, &group, &source) < 0) {
            put_off(); /* what it is will be found out by the original */
        }
    }
    born = since = now();
    starting = coro;
    starting_source = source;
    if (clock != NULL) {
        Py_INCREF(starting);
        Py_XINCREF(starting_source);
        exchange_starting(clock, &starting, &starting_source, &since);
    }
    result = original(task, args, kwargs);
    if (clock != NULL) {
        exchange_starting(clock, &starting, &starting_source, &since);
        Py_DECREF(starting);
        Py_XDECREF(starting_source);
        Py_DECREF((PyObject *)clock);
    }
    if (result < 0 || state->closed) {
        Py_XDECREF(group);
        Py_XDECREF(source);
    } else if (UNLIKELY(note(state, loop, task, coro, born, nested, eager, group, source) < 0) &&
               swallow(state, "Task.__init__") < 0)
        result = -1;
    Py_DECREF(coro);
    Py_DECREF((PyObject *)state);
    return result;
}

PyObject *hook_new_tasks(PyObject *op, PyObject *unused) {
    State *self = (State *)op;
    Py_ssize_t offset = slot_offset();
    initproc *wrapper;
    if (offset < 0)
        return NULL;
    if (self->task_init == NULL || active != NULL || INIT(self->task_type, offset) != self->task_init) {
        PyErr_SetString(PyExc_TypeError, "asyncio's Task is not as expected");
        return NULL;
    }
    wrapper = wrapped(self, self->task_init);
    if (wrapper == NULL)
        return NULL;
    original = self->task_init;
    Py_INCREF((PyObject *)self);
    active = self;
    *wrapper = hooked;
    if (replace((PyObject *)self->task_type, offset, original, hooked) < 0) {
        PyObject *type, *value, *traceback, *done;
        PyErr_Fetch(&type, &value, &traceback);
        done = unhook_new_tasks(op, NULL);
        Py_XDECREF(done);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *unhook_new_tasks(PyObject *op, PyObject *unused) {
    State *self = (State *)op;
    Py_ssize_t offset = slot_offset();
    initproc *wrapper;
    if (active != self || offset < 0)
        Py_RETURN_NONE;
    active = NULL;
    Py_DECREF((PyObject *)self); /* the caller has one more */
    wrapper = wrapped(self, hooked);
    if (wrapper == NULL)
        return NULL;
    *wrapper = original;
    if (replace((PyObject *)self->task_type, offset, hooked, original) < 0)
        return NULL;
    Py_RETURN_NONE;
}
