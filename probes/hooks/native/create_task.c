/* The hooks of create_task: makes the task as asyncio does, and a record with its creation site and parent. */
#include "hooks.h"

static inline size_t hash_of(uintptr_t key) { return (size_t)((key >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32); }

/* What is known of the file that a code object comes from, NULL with an error. Asked once for each code. */
static inline Kind *file_of(State *state, PyObject *code) {
    size_t place = hash_of((uintptr_t)code), index;
    Kind *kind;
    PyObject *answer, *old;
    long number;
    for (index = 0; index < KIND_PROBES; index++) {
        kind = &state->kinds[(place + index) % KINDS];
        if (LIKELY(kind->code == code))
            return kind;
        if (kind->code == NULL)
            break;
    }
    answer = PyObject_CallFunctionObjArgs(state->kind_of, code, NULL);
    if (answer == NULL)
        return NULL;
    number = PyLong_AsLong(answer);
    Py_DECREF(answer);
    if (number < 0)
        return NULL;
    kind = &state->kinds[(place + (index < KIND_PROBES ? index : state->replaced++ % KIND_PROBES)) % KINDS];
    old = kind->code;
    Py_INCREF(code);
    kind->code = code;
    kind->kind = (int)number % INSTALLED;
    kind->installed = number >= INSTALLED;
    Py_XDECREF(old);
    return kind;
}

/* The kind of file (sites.USER is 0) that a code object comes from, -1 with an error. */
int kind_of(State *state, PyObject *code) {
    Kind *kind = file_of(state, code);
    return LIKELY(kind != NULL) ? kind->kind : -1;
}

/* Whether it comes from an installed package, -1 with an error. */
int is_installed(State *state, PyObject *code) {
    Kind *kind = file_of(state, code);
    return kind != NULL ? kind->installed : -1;
}

/* Whether a frame is that of the coroutine whose task runs in a step of its loop (`creator`, or NULL), so that nothing but
 * the loop has called it. */
static int is_called_by_loop(State *state, PyObject *clock, PyObject *creator, PyFrameObject *frame) {
    PyObject *record = ((LoopClock *)clock)->inside > 0 ? ((LoopClock *)clock)->record : NULL, *coro, *owner;
    if (creator == NULL || record == NULL || REFERENT(record) != creator || Py_TYPE(creator) != state->task_type ||
        state->get_coro == NULL || PyFrame_GetGenerator == NULL)
        return 0;
    coro = state->get_coro(creator, NULL);
    owner = PyFrame_GetGenerator(frame);
    if (UNLIKELY(coro == NULL))
        put_off();
    Py_XDECREF(coro);
    Py_XDECREF(owner);
    return coro != NULL && owner == coro;
}

/* The creation site: the frame that called create_task, or the one that called that. 1: found; 0: look further. */
static int find_site(State *state, Fields *fields, PyObject *clock, PyObject *creator, PyFrameObject *frame, int *outermost) {
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    int kind = kind_of(state, code), inner = kind;
    if (kind > 0 && is_called_by_loop(state, clock, creator, frame)) {
        /* The frame below is not asked for: the interpreter would have to make an object of it, in each turn of the loop. */
        Py_DECREF(code);
        *outermost = 1;
        return 0;
    }
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
    size_t place = 0, index = 0;
    int lasti = 0, done, at = 0;
    if (outermost) { /* then the answer depends on the caller and the coroutine function only */
        made = code_of(state, coro);
        if (made == NULL)
            PyErr_Clear();
    }
    if (made != NULL) {
        caller = (PyObject *)PyFrame_GetCode(frame);
        at = PyFrame_GetLasti(frame);
        place = hash_of((uintptr_t)caller + 3 * (uintptr_t)made + ((uintptr_t)at << 4));
        for (index = 0; index < KIND_PROBES; index++) {
            site = &state->sites[(place + index) % KINDS];
            if (site->caller == NULL)
                break;
            if (site->caller == caller && site->made == made && site->at == at) {
                set_site(fields, site->code, site->lasti);
                Py_XDECREF(made);
                Py_DECREF(caller);
                return 0;
            }
        }
    }
    found = PyObject_CallFunctionObjArgs(state->site_of, coro, (PyObject *)frame, NULL);
    done = found != NULL && PyArg_ParseTuple(found, "Oi", &code, &lasti);
    if (done)
        set_site(fields, code == Py_None ? NULL : code, lasti);
    if (done && site != NULL) {
        Site old;
        site = &state->sites[(place + (index < KIND_PROBES ? index : state->replaced++ % KIND_PROBES)) % KINDS];
        old = *site;
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

/* The id of the record of the task that runs on a loop now, 0 for none; and that task, borrowed, where it is known to be
 * alive. */
static int64_t find_parent(State *state, PyObject *loop, PyObject *clock, PyObject **running) {
    PyObject *creator, *record, *asked = NULL;
    int64_t number = 0;
    *running = NULL;
    if (state->current_tasks != NULL)
        creator = PyDict_GetItemWithError(state->current_tasks, loop);
    else {
        creator = asked = PyObject_Vectorcall(state->current_task, &loop, 1, NULL);
        if (asked == NULL && PyErr_ExceptionMatches(PyExc_RuntimeError))
            PyErr_Clear(); /* no loop runs in this thread */
    }
    if (creator != NULL && creator != Py_None) {
        record = records_find(state->records, creator);
        if (record != NULL && REFERENT(record) == creator) {
            number = FIELDS(record)->id;
            *running = asked == NULL ? creator : NULL;
        } else {
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

static COLD int add_origin(State *state, PyObject *record, PyFrameObject *frame) {
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

/* Who made a task, and where. -1 with an error. */
int find_birth(State *state, Fields *fields, PyObject *loop, PyObject *clock, PyObject *coro) {
    PyFrameObject *frame = (PyFrameObject *)PyEval_GetFrame();
    PyObject *creator;
    int found, outermost = 0;
    fields->parent = find_parent(state, loop, clock, &creator);
    if (UNLIKELY(fields->parent == 0) && PyErr_Occurred())
        return -1;
    if (frame == NULL || fields->code != NULL)
        return 0;
    found = find_site(state, fields, clock, creator, frame, &outermost);
    return found < 0 || (found == 0 && ask_for_site(state, fields, coro, frame, outermost) < 0) ? -1 : 0;
}

/* The record of a new task: a new reference. An eager one may have a record that was made for it during its first step.
 * `group` and `source`: what `group_prepare` found before that step, NULL: to be found now; takes both references. */
PyObject *register_task(State *state, PyObject *loop, PyObject *task, PyObject *coro, double born, PyObject *group,
                        PyObject *source) {
    PyObject *record = records_find(state->records, task), *clock;
    PyFrameObject *frame;
    Fields *fields;
    int found;
    if (UNLIKELY(record != NULL && REFERENT(record) == task))
        Py_INCREF(record);
    else if ((record = record_new(state, task)) == NULL)
        goto failed;
    else
        FIELDS(record)->id = ++state->last_id;
    fields = FIELDS(record);
    fields->born = born;
    fields->counted = 0;
    clock = find_loop(state, loop);
    if (clock == NULL)
        goto failed;
    Py_XDECREF(fields->loop);
    fields->loop = clock;
    if (find_birth(state, fields, loop, clock, coro) < 0)
        goto failed;
    if (UNLIKELY(state->watching && state->origin_depth) && (frame = (PyFrameObject *)PyEval_GetFrame()) != NULL &&
        add_origin(state, record, frame) < 0)
        goto failed;
    if (state->watching) {
        found = group != NULL ? group_join(record, group, source) : group_enter(state, record, coro);
        group = source = NULL;
        if (UNLIKELY(found < 0 && swallow(state, "groups") < 0))
            goto failed;
    }
    if (!state->closed && records_put(state->records, record) < 0)
        goto failed;
    if (state->ring != NULL)
        trace_born(state, fields, coro);
    Py_XDECREF(group);
    Py_XDECREF(source);
    return record;
failed:
    Py_XDECREF(group);
    Py_XDECREF(source);
    Py_XDECREF(record);
    return NULL;
}

/* Task(coro, loop=loop), reusing the keyword dictionary of the previous call; Task does not keep it. */
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
    Py_INCREF(factory); /* the program may replace it meanwhile */
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

PyObject *create_task(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names) {
    Hook *hook = (Hook *)op;
    State *state = hook->state;
    PyObject *loop, *task, *coro, *record;
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
        return task; /* a loop of the program's own made something else */
    record = records_find(state->records, task);
    if (UNLIKELY(record != NULL && REFERENT(record) == task))
        return task; /* the hook of Task.__init__ has seen it */
    record = register_task(state, loop, task, coro, born, NULL, NULL);
    if (UNLIKELY(record == NULL && swallow(state, "create_task") < 0))
        Py_CLEAR(task);
    Py_XDECREF(record);
    return task;
}
