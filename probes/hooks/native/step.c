/* The hook of Handle._run: each callback is timed, and a step is accounted to its task.
 *
 * Where an exception leaves a callback, asyncio's own `_run` gets it (reraise.c).
 */
#include "hooks.h"
#include <math.h>
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

static COLD int is_named_like_a_step(PyObject *callback) {
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

/* What a callback is to its task, which is then in `task` (borrowed from the callback). */
int step_of(State *state, PyObject *callback, PyObject **task) {
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
            if (state->wakeup != NULL || !is_instance(owner, state->task_type) || !is_named_like_a_step(callback))
                return NO_STEP;
            state->wakeup = function; /* the first that was seen */
        }
        *task = owner;
        return STEP;
    }
    if (type == &PyMethod_Type) { /* a task in Python: a class of the program, or a Python without C tasks */
        owner = PyMethod_Self(callback);
        if (owner == NULL || records_find(state->records, owner) == NULL || !is_named_like_a_step(callback))
            return NO_STEP;
        *task = owner;
        return STEP;
    }
    return NO_STEP;
}

static COLD int truth_of(PyObject *task, PyObject *name) {
    PyObject *result = PyObject_CallMethodObjArgs(task, name, NULL);
    int truth = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return truth;
}

/* An Exception raised by a class of the program is no failure of a hook: clears it and returns 1; else 0. */
static COLD int clear_programs_error(void) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return 0;
    PyErr_Clear();
    return 1;
}

/* Whether a task is done, or cancelled; 0 if a class of the program's cannot say, -1 with an error. */
int ask_task(State *state, PyObject *task, PyCFunction function, PyObject *name) {
    PyObject *result;
    if (UNLIKELY(function == NULL || !is_instance(task, state->task_type))) {
        int truth = truth_of(task, name);
        return truth < 0 && clear_programs_error() ? 0 : truth;
    }
    result = function(task, NULL);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return result == Py_True;
}

int add_changed(State *state, PyObject *record) {
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

/* Records the end of a task. Never calls `task.exception()`, which would silence "never retrieved". `coro` is that of an
 * eager task that has ended and does not refer to it any more; else NULL. */
int finish(State *state, PyObject *record, PyObject *task, double at, PyObject *coro) {
    Fields *fields = FIELDS(record);
    PyObject *error, *reported;
    int failed, cancelled, result = 0;
    SiteCounts *counts;
    if (fields->outcome || REFERENT(record) != task)
        return 0;
    error = exception_of(state, task);
    if (error == NULL) {
        if (!clear_programs_error())
            return -1;
        error = Py_None;
        Py_INCREF(error);
    }
    failed = error != Py_None;
    cancelled = failed ? 0 : ask_task(state, task, state->cancelled, str_cancelled);
    if (cancelled < 0) {
        Py_DECREF(error);
        return -1;
    }
    Py_INCREF(record); /* the table may have the only reference */
    fields->ended = at;
    fields->outcome = failed ? FAILED : cancelled ? CANCELLED : DONE;
    if (state->ring != NULL)
        trace_end(state, fields);
    if (UNLIKELY(group_leave(state, record) < 0) && swallow(state, "groups") < 0)
        result = -1;
    counts = NULL;
    if (failed || state->named >= state->most_named)
        counts = aggregates_find(state->site_aggregates, fields->code, fields->lasti);
    if (failed ? counts == NULL || counts->flood != (int64_t)(intptr_t)Py_TYPE(error) : state->named < state->most_named) {
        state->named++;
        reported = PyObject_CallFunctionObjArgs(state->report_end, record, task, error, coro, NULL);
        Py_XDECREF(reported);
        if (reported == NULL)
            result = -1;
    } else if (fields->steps_reported < 0 && !fields->dirty && fields->counted == 0) {
        /* No viewer knows it, and those that are reported by name are enough: it need not even be kept. */
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

static COLD int add_to_histogram(PyObject *histogram, double elapsed, double waited) {
    PyObject *result, *step = PyFloat_FromDouble(elapsed), *wait = PyFloat_FromDouble(waited);
    result = step && wait ? PyObject_CallMethodObjArgs(histogram, str_add, step, wait, NULL) : NULL;
    Py_XDECREF(step);
    Py_XDECREF(wait);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static COLD int report_slow(State *state, PyObject *loop, PyObject *callback, PyObject *record, double started, double took) {
    PyObject *from = PyFloat_FromDouble(started), *length = PyFloat_FromDouble(took), *result = NULL;
    PyObject *function = state->on_slow;
    Py_XINCREF(function); /* another may be set while it runs */
    if (from != NULL && length != NULL && function != NULL)
        result = PyObject_CallFunctionObjArgs(function, loop, callback, record ? record : Py_None, from, length, NULL);
    Py_XDECREF(function);
    Py_XDECREF(from);
    Py_XDECREF(length);
    Py_XDECREF(result);
    return result == NULL && PyErr_Occurred() ? -1 : 0;
}

/* The value of the context variable that labels are read from, in the context of what has just run; NULL: none. */
PyObject *see_label(State *state) {
    PyObject *value = NULL;
    if (PyContextVar_Get(state->label_variable, NULL, &value) < 0)
        PyErr_Clear();
    return value;
}

/* Accounts a callback that has run to its task, if it was a step of one. `begun`: what `begin_step` found; `seen`: what
 * `see_label` returned, or NULL. */
int account_step(State *state, PyObject *loop, PyObject *callback, Begun *begun, PyObject *seen, double ready,
                 double started, double elapsed) {
    LoopClock *clock = (LoopClock *)loop;
    PyObject *task = begun->task, *record = begun->record, *result;
    Fields *fields;
    int step = begun->step, done, failed = 0;
    double ended = started + elapsed, own = elapsed - clock->inner; /* a loop inside it did not block this one */
    if (UNLIKELY(state->closed)) {
        step = NO_STEP;
        record = NULL;
    }
    if (UNLIKELY(step != NO_STEP && (record == NULL || FIELDS(record)->key != (int64_t)(intptr_t)task))) {
        record = records_find(state->records, task); /* it may have been registered, or all forgotten, during the step */
        if (record != NULL && REFERENT(record) != task)
            record = NULL;
        Py_XINCREF(record);
        Py_XDECREF(begun->record);
        begun->record = record;
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
        if (state->ring != NULL && step == NO_STEP && (clock->woke || elapsed >= LONG_CALLBACK))
            trace_callback(state, clock, callback, ready, started, ended);
        return own >= state->slow_threshold ? report_slow(state, loop, callback, NULL, started, own) : 0;
    }
    fields = FIELDS(record);
    if (state->ring != NULL)
        trace_step(state, clock, fields, ready, started, ended);
    if (UNLIKELY(own >= state->slow_threshold))
        failed = report_slow(state, loop, callback, record, started, own);
    if (UNLIKELY(clock->nested != 0.0)) {
        elapsed = elapsed > clock->nested ? elapsed - clock->nested : 0.0;
        clock->nested = 0.0;
    }
    fields->steps++;
    fields->busy += elapsed;
    if (elapsed > fields->max_step)
        fields->max_step = single_of(elapsed);
    if (ready != 0.0)
        fields->scheduled += started - ready;
    if (UNLIKELY(fields->extra != NULL) && !failed) {
        PyObject *histogram = fields->extra->histogram;
        if (histogram != NULL) {
            Py_INCREF(histogram);
            failed = add_to_histogram(histogram, elapsed, ready != 0.0 ? started - ready : 0.0);
            Py_DECREF(histogram);
        }
        if (fields->extra != NULL && UNLIKELY(fields->extra->source != NULL && fields->extra->source == state->later) && !failed)
            failed = group_look_again(state, record);
    }
    if (UNLIKELY(seen != NULL) && !failed && (fields->extra == NULL || fields->extra->seen != seen))
        failed = group_see(state, record, seen);
    if (!failed) {
        done = ask_task(state, task, state->done, str_done);
        if (done < 0)
            failed = -1;
        else if (done)
            failed = finish(state, record, task, ended, NULL);
        else if (!fields->dirty)
            failed = add_changed(state, record);
    }
    return failed;
}

PyObject *run(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    PyObject *handle, *callback, *arguments, *context, *loop, *clock_object, *result, *seen = NULL;
    PyTypeObject *type;
    LoopClock *clock;
    Begun begun;
    Outer outer;
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
    outer = callback_begins(clock);
    begin_step(state, clock, callback, &begun);
    if (state->ring != NULL)
        trace_begin(clock, &begun, callback, handle,
                    type == state->timed_type ? TRACE_STEP_SOON : type == state->timer_type ? TRACE_STEP_TIMER : TRACE_STEP_HANDLE,
                    type == state->timed_type ? WAKER(handle, state) : NULL);
    if (UNLIKELY(state->resting))
        step_begins(state);
    clock->started = started = now();
    /* A handle that was made in debug mode runs in asyncio's own `_run`: stacks are kept then, with its frame. */
    if (LIKELY(hook->asyncios && Py_TYPE(context) == &PyContext_Type && SLOT(handle, state, SOURCE) == Py_None)) {
        if (LIKELY(PyContext_Enter(context) == 0)) {
            result = call_with(callback, arguments);
            if (UNLIKELY(state->label_variable != NULL) && result != NULL)
                seen = see_label(state);
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
    clock->busy += elapsed - clock->inner;
    clock->traced = NULL;
    if (LIKELY(result != NULL)) {
        if (UNLIKELY(clock->litter != NULL))
            drop_litter(clock);
        if (UNLIKELY(account_step(state, clock_object, callback, &begun, seen, ready, started, elapsed) < 0)) {
            if (state->watching ? swallow(state, "run") < 0 : (put_off(), 0))
                Py_CLEAR(result);
        }
    }
    callback_ends(clock, &outer, elapsed);
    Py_DECREF(clock_object);
    Py_XDECREF(begun.record);
    Py_XDECREF(seen);
out:
    /* Not before: these may be the last references to the task. */
    Py_DECREF(context);
    Py_DECREF(arguments);
    Py_DECREF(callback);
    return result;
}
