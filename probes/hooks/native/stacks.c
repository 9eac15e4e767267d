/* What the probe's threads need most of the program: await stacks, stacks of threads, states of tasks.
 *
 * Each function reads in one piece: no code in Python runs, the GIL is not given up, and no collection of garbage begins.
 * So nothing of the program can end meanwhile, and no reference taken here can be the last one. The results
 * are code objects, lines and numbers. Values of variables, which are read of the frames of asyncio and of libraries, are
 * held by the scope of the thread (reading.c).
 *
 * probes/base/stacks.py walks the same way in Python; what it finds is the same.
 */
#include "hooks.h"
#include <string.h>

#define MOST_FRAMES MOST_AWAITED
#define MOST_THREAD_FRAMES 10000
#define MOST_DICTS 64

BEYOND PyTypeObject PyAsyncGen_Type;
BEYOND PyObject *PyFrame_GetVar(PyFrameObject *frame, PyObject *name); /* from 3.12 on */

typedef struct {
    PyObject *owner, *frame, *code; /* references */
} Place;

enum { COROUTINE, GENERATOR, ASYNC_GENERATOR, KINDS_OF_AWAITABLES };

static PyTypeObject *types[KINDS_OF_AWAITABLES];
static PyObject *names[KINDS_OF_AWAITABLES][3]; /* of the frame, of the code, of what is awaited */
static PyObject *class_mro, *class_dict, *class_module; /* descriptors of `type` */
static PyObject *str_inner, *str_locals, *str_globals, *str_first_line, *str_cython, *str_wrapper;
static PyTypeObject *code_type;
static PyObject *wrappers; /* the end of the name of the module whose wrappers a stack is walked through */
static PyObject *current_frames, *all_tasks, *current_task, *all_objects;

static PyObject *get(PyObject *descriptor, PyObject *object, PyTypeObject *type) {
    descrgetfunc function = PyType_GetSlot(Py_TYPE(descriptor), Py_tp_descr_get);
    return function(descriptor, object, (PyObject *)type);
}

static PyObject *of_type(const char *name) {
    PyObject *dict = PyObject_GetAttrString((PyObject *)&PyType_Type, "__dict__"), *found;
    found = dict == NULL ? NULL : PyMapping_GetItemString(dict, name);
    Py_XDECREF(dict);
    return found;
}

/* learn_reading(code type, end of the name of the module of wrappers, sys._current_frames, gc.get_objects, all_tasks or None,
 * current_task or None): None where these are functions in Python. */
PyObject *learn_reading(PyObject *op, PyObject *args) {
    static const char *all[][3] = {
        {"cr_frame", "cr_code", "cr_await"}, {"gi_frame", "gi_code", "gi_yieldfrom"}, {"ag_frame", "ag_code", "ag_await"}};
    State *self = (State *)op;
    PyObject *code, *module, *frames, *objects, *tasks, *task;
    int kind, which;
    if (!PyArg_ParseTuple(args, "O!UOOOO", &PyType_Type, &code, &module, &frames, &objects, &tasks, &task))
        return NULL;
    if (self->task_type == NULL || (void *)&PyCoro_Type == NULL || (void *)&PyGen_Type == NULL ||
        (void *)&PyAsyncGen_Type == NULL || (void *)&PyFrame_Type == NULL || Py_TYPE(frames) != &PyCFunction_Type ||
        Py_TYPE(objects) != &PyCFunction_Type || (tasks != Py_None && Py_TYPE(tasks) != &PyCFunction_Type) ||
        (task != Py_None && Py_TYPE(task) != &PyCFunction_Type)) {
        PyErr_SetString(PyExc_TypeError, "this Python's coroutines are not known");
        return NULL;
    }
    if (class_mro == NULL) {
        types[COROUTINE] = &PyCoro_Type;
        types[GENERATOR] = &PyGen_Type;
        types[ASYNC_GENERATOR] = &PyAsyncGen_Type;
        for (kind = 0; kind < KINDS_OF_AWAITABLES; kind++)
            for (which = 0; which < 3; which++)
                if ((names[kind][which] = PyUnicode_InternFromString(all[kind][which])) == NULL)
                    return NULL;
        str_inner = PyUnicode_InternFromString("_inner");
        str_locals = PyUnicode_InternFromString("f_locals");
        str_globals = PyUnicode_InternFromString("f_globals");
        str_first_line = PyUnicode_InternFromString("co_firstlineno");
        str_cython = PyUnicode_InternFromString("_cython_");
        str_wrapper = PyUnicode_InternFromString("coroutine_wrapper");
        class_dict = of_type("__dict__");
        class_module = of_type("__module__");
        class_mro = of_type("__mro__");
        if (class_dict == NULL || class_module == NULL || class_mro == NULL || str_first_line == NULL ||
            str_cython == NULL || str_wrapper == NULL)
            return NULL;
        Py_INCREF(code);
        code_type = (PyTypeObject *)code;
        Py_INCREF(module);
        wrappers = module;
        Py_INCREF(frames);
        current_frames = frames;
        Py_INCREF(objects);
        all_objects = objects;
        Py_INCREF(tasks);
        all_tasks = tasks;
        Py_INCREF(task);
        current_task = task;
    }
    Py_RETURN_NONE;
}

/* The value of an attribute that the type of an object has in C: a slot, or a function that computes it. NULL without an
 * error for any other: reading it might run code of the program. */
static PyObject *attribute_in_c(PyObject *object, PyObject *name) {
    PyObject *type = (PyObject *)Py_TYPE(object), *mro = get(class_mro, type, Py_TYPE(type)), *found = NULL, *value = NULL;
    Py_ssize_t index;
    for (index = 0; mro != NULL && PyTuple_Check(mro) && index < PyTuple_Size(mro) && found == NULL; index++) {
        PyObject *base = PyTuple_GetItem(mro, index), *dict = get(class_dict, base, Py_TYPE(base));
        found = dict == NULL ? NULL : PyObject_GetItem(dict, name);
        PyErr_Clear();
        Py_XDECREF(dict);
    }
    if (found != NULL && (Py_TYPE(found) == &PyGetSetDescr_Type || Py_TYPE(found) == &PyMemberDescr_Type))
        value = get(found, object, Py_TYPE(object));
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(mro);
    return value;
}

static int kind_of_awaitable(PyObject *object) {
    int kind;
    for (kind = 0; kind < KINDS_OF_AWAITABLES && Py_TYPE(object) != types[kind]; kind++)
        ;
    return kind;
}

static int visit_awaitable(PyObject *object, void *found) {
    if (object == NULL || kind_of_awaitable(object) == KINDS_OF_AWAITABLES)
        return 0;
    *(PyObject **)found = object;
    return 1;
}

static int visit_instance(PyObject *object, void *found) {
    if (object == NULL || Py_TYPE(object) == &PyType_Type)
        return 0;
    *(PyObject **)found = object;
    return 1;
}

/* Whether a type of Cython is what `await` makes of its coroutines, which refers to the coroutine only. */
static int is_cythons_wrapper(PyTypeObject *type, PyObject *module) {
    PyObject *name;
    int is;
    if (PyUnicode_Tailmatch(module, str_cython, 0, PY_SSIZE_T_MAX, -1) != 1 || (name = PyType_GetName(type)) == NULL)
        return 0;
    is = PyUnicode_Compare(name, str_wrapper) == 0;
    Py_DECREF(name);
    return is;
}

/* The next awaitable behind one whose type does not name it: what base/stacks.py calls `_behind`. */
static PyObject *behind(State *state, PyObject *awaitable) {
    static const char *modules[] = {"builtins", "_asyncio", "types"};
    PyTypeObject *type = Py_TYPE(awaitable), *future = PyType_GetSlot(state->task_type, Py_tp_base);
    PyObject *module, *found = NULL;
    traverseproc traverse;
    size_t index;
    int known = 0, cythons;
    if (awaitable == Py_None || is_instance(awaitable, future))
        return NULL;
    module = get(class_module, (PyObject *)type, Py_TYPE((PyObject *)type));
    if (module == NULL || !PyUnicode_Check(module)) {
        PyErr_Clear();
        Py_XDECREF(module);
        return NULL;
    }
    for (index = 0; index < 3; index++)
        known |= PyUnicode_CompareWithASCIIString(module, modules[index]) == 0;
    cythons = !known && is_cythons_wrapper(type, module);
    if (!known && PyUnicode_Tailmatch(module, wrappers, 0, PY_SSIZE_T_MAX, 1) == 1)
        found = attribute_in_c(awaitable, str_inner);
    else if ((known || cythons) && PyType_HasFeature(type, Py_TPFLAGS_HAVE_GC) &&
             (traverse = PyType_GetSlot(type, Py_tp_traverse)) != NULL) {
        traverse(awaitable, cythons ? visit_instance : visit_awaitable, &found);
        Py_XINCREF(found);
    }
    Py_DECREF(module);
    return found;
}

/* The frames of an awaitable and of what it awaits, outermost first; takes over the reference to it. */
static int walk(State *state, PyObject *awaitable, Place *places) {
    int count = 0, step;
    for (step = 0; awaitable != NULL && step < MOST_FRAMES; step++) {
        int kind = kind_of_awaitable(awaitable);
        PyObject *frame = NULL, *code = NULL, *next = NULL;
        if (kind < KINDS_OF_AWAITABLES) {
            frame = PyObject_GetAttr(awaitable, names[kind][0]);
            code = PyObject_GetAttr(awaitable, names[kind][1]);
            next = PyObject_GetAttr(awaitable, names[kind][2]);
        } else if ((next = behind(state, awaitable)) == NULL &&
                   (frame = attribute_in_c(awaitable, names[COROUTINE][0])) != NULL) { /* a coroutine of Cython */
            code = attribute_in_c(awaitable, names[COROUTINE][1]);
            next = attribute_in_c(awaitable, names[COROUTINE][2]);
        }
        PyErr_Clear();
        if (frame != NULL && Py_TYPE(frame) == &PyFrame_Type && code != NULL && Py_TYPE(code) == code_type) {
            Py_INCREF(awaitable);
            places[count++] = (Place){awaitable, frame, code};
            frame = code = NULL;
        }
        Py_XDECREF(frame);
        Py_XDECREF(code);
        Py_DECREF(awaitable);
        if (next == Py_None)
            Py_CLEAR(next);
        awaitable = next;
    }
    Py_XDECREF(awaitable);
    return count;
}

/* What an awaitable awaits, a new reference, NULL at the end of the chain. `code`: its own, if it has a frame, a new
 * reference; `frame`: of a coroutine that Cython compiled, which has no other. Never raises. */
PyObject *next_awaited(State *state, PyObject *awaitable, PyObject **code, PyObject **frame) {
    int kind = kind_of_awaitable(awaitable);
    PyObject *next = NULL;
    *code = *frame = NULL;
    if (class_mro == NULL)
        return NULL;
    if (kind < KINDS_OF_AWAITABLES) {
        *code = PyObject_GetAttr(awaitable, names[kind][1]);
        next = PyObject_GetAttr(awaitable, names[kind][2]);
    } else if ((next = behind(state, awaitable)) == NULL &&
               (*frame = attribute_in_c(awaitable, names[COROUTINE][0])) != NULL) {
        *code = attribute_in_c(awaitable, names[COROUTINE][1]);
        next = attribute_in_c(awaitable, names[COROUTINE][2]);
    }
    PyErr_Clear();
    if (*code != NULL && Py_TYPE(*code) != code_type)
        Py_CLEAR(*code);
    if (next == Py_None)
        Py_CLEAR(next);
    return next;
}

/* The frame of a coroutine, generator or asynchronous generator: a new reference, or NULL. Never raises. */
PyObject *frame_of_awaited(PyObject *awaitable) {
    int kind = kind_of_awaitable(awaitable);
    PyObject *frame = kind < KINDS_OF_AWAITABLES ? PyObject_GetAttr(awaitable, names[kind][0]) : NULL;
    PyErr_Clear();
    if (frame != NULL && Py_TYPE(frame) != &PyFrame_Type)
        Py_CLEAR(frame);
    return frame;
}

static void drop_places(Place *places, int count) {
    while (count-- > 0) {
        Py_DECREF(places[count].frame);
        Py_DECREF(places[count].code);
        Py_DECREF(places[count].owner);
    }
}

static long first_line(PyObject *code) {
    PyObject *number = PyObject_GetAttr(code, str_first_line);
    long line = number == NULL ? 0 : PyLong_AsLong(number);
    Py_XDECREF(number);
    PyErr_Clear();
    return line;
}

/* (code, line): a new reference. */
static PyObject *entry_of(PyObject *frame, PyObject *code) {
    int line = PyFrame_GetLineNumber((PyFrameObject *)frame);
    return Py_BuildValue("(Ol)", code, line > 0 ? (long)line : first_line(code));
}

/* The coroutine of a task, or an awaitable itself: a new reference. NULL without an error: there is none. `unknown` is
 * set for a task in Python. */
static PyObject *awaitable_of(State *state, PyObject *object, int *unknown) {
    PyObject *task = object, *coro;
    if (Py_TYPE(object) == state->record_type && (task = referent(object)) == NULL)
        return NULL;
    if (task == object && !is_instance(task, PyType_GetSlot(state->task_type, Py_tp_base))) {
        Py_INCREF(task);
        return task;
    }
    if (!is_instance(task, state->task_type) || state->get_coro == NULL) {
        *unknown = 1;
        return NULL;
    }
    coro = state->get_coro(task, NULL); /* NULL without an error for some tasks of 3.12.0 and 3.12.1 */
    PyErr_Clear();
    return coro;
}

/* await_stack(record, task or awaitable): [(code, line)], outermost first; None for a task in Python. */
PyObject *await_stack(PyObject *op, PyObject *object) {
    State *self = (State *)op;
    Place places[MOST_FRAMES];
    PyObject *list, *awaitable;
    int collects = PyGC_Disable(), unknown = 0, count, index;
    awaitable = awaitable_of(self, object, &unknown);
    count = walk(self, awaitable, places);
    list = unknown ? NULL : PyList_New(count);
    for (index = 0; list != NULL && index < count; index++) {
        PyObject *entry = entry_of(places[index].frame, places[index].code);
        if (entry == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, index, entry);
    }
    drop_places(places, count);
    if (collects)
        PyGC_Enable();
    if (unknown)
        Py_RETURN_NONE;
    return list;
}

/* The await stack of a record's task, outermost first; its code objects are borrowed from its coroutines. Returns how many. */
int await_places(State *state, PyObject *object, AwaitPlace *found) {
    Place places[MOST_FRAMES];
    int collects = PyGC_Disable(), unknown = 0, count, index;
    count = walk(state, awaitable_of(state, object, &unknown), places);
    for (index = 0; index < count; index++)
        found[index] = (AwaitPlace){places[index].code, PyFrame_GetLasti((PyFrameObject *)places[index].frame)};
    drop_places(places, count);
    if (collects)
        PyGC_Enable();
    return count;
}

/* own_place(awaitable): (code, line, globals) of its own frame; None if it has none. */
PyObject *own_place(PyObject *op, PyObject *awaitable) {
    int kind = kind_of_awaitable(awaitable), collects = PyGC_Disable();
    PyObject *frame = kind < KINDS_OF_AWAITABLES ? PyObject_GetAttr(awaitable, names[kind][0]) : NULL, *place = NULL;
    if (frame != NULL && Py_TYPE(frame) == &PyFrame_Type) {
        PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
        PyObject *entry = code == NULL ? NULL : entry_of(frame, code), *globals = PyObject_GetAttr(frame, str_globals);
        if (entry != NULL && globals != NULL)
            place = Py_BuildValue("(OOO)", code, PyTuple_GetItem(entry, 1), globals);
        Py_XDECREF(code);
        Py_XDECREF(entry);
        Py_XDECREF(globals);
    }
    Py_XDECREF(frame);
    if (collects)
        PyGC_Enable();
    if (place == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return place;
}

typedef struct {
    PyObject *all[MOST_DICTS]; /* borrowed, and only compared */
    int count;
} Dicts;

static int visit_dict(PyObject *object, void *arg) {
    Dicts *dicts = arg;
    if (object != NULL && Py_TYPE(object) == &PyDict_Type && dicts->count < MOST_DICTS)
        dicts->all[dicts->count++] = object;
    return 0;
}

/* The variables of a frame by name, those that are set. */
static PyObject *variables_of(Place *place, PyObject *wanted) {
    PyObject *values = PyDict_New(), *all = NULL;
    Dicts dicts = {.count = 0};
    Py_ssize_t index;
    if (values == NULL)
        return NULL;
    if (PyFrame_GetVar == NULL) {
        /* In 3.11 the frame keeps the dictionary, and what is in it: it is emptied unless it was there before. */
        traverseproc traverse = PyType_GetSlot(Py_TYPE(place->owner), Py_tp_traverse);
        if (traverse != NULL)
            traverse(place->owner, visit_dict, &dicts);
        all = PyObject_GetAttr(place->frame, str_locals);
    }
    for (index = 0; index < PyTuple_Size(wanted); index++) {
        PyObject *name = PyTuple_GetItem(wanted, index), *value = NULL;
        if (PyFrame_GetVar != NULL)
            value = PyFrame_GetVar((PyFrameObject *)place->frame, name);
        else if (all != NULL) {
            value = PyObject_GetItem(all, name);
        }
        PyErr_Clear();
        if (value != NULL) {
            hold_object(value);
            if (PyDict_SetItem(values, name, value) < 0)
                PyErr_Clear();
            Py_DECREF(value);
        }
    }
    if (all != NULL && Py_TYPE(all) == &PyDict_Type && dicts.count < MOST_DICTS) {
        int before = 0;
        for (index = 0; index < dicts.count; index++)
            before |= dicts.all[index] == all;
        if (!before)
            PyDict_Clear(all);
    }
    Py_XDECREF(all);
    return values;
}

/* await_values(task or awaitable, [(code, names)]): the variables of the innermost frames, as dictionaries; None if these
 * are not the code objects any more. */
PyObject *await_values(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    Place places[MOST_FRAMES];
    PyObject *object, *wanted, *list = NULL, *awaitable;
    int collects, unknown = 0, count, index, first, same;
    if (!PyArg_ParseTuple(args, "OO!", &object, &PyList_Type, &wanted))
        return NULL;
    collects = PyGC_Disable();
    awaitable = awaitable_of(self, object, &unknown);
    count = walk(self, awaitable, places);
    first = count - (int)PyList_Size(wanted);
    same = first >= 0;
    for (index = first; same && index < count; index++) {
        PyObject *each = PyList_GetItem(wanted, index - first);
        same = PyTuple_Check(each) && PyTuple_Size(each) == 2 && PyTuple_GetItem(each, 0) == places[index].code &&
               PyTuple_Check(PyTuple_GetItem(each, 1));
    }
    if (same)
        list = PyList_New(count - first);
    for (index = first; list != NULL && index < count; index++) {
        PyObject *values = variables_of(&places[index], PyTuple_GetItem(PyList_GetItem(wanted, index - first), 1));
        if (values == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, index - first, values);
    }
    drop_places(places, count);
    if (collects)
        PyGC_Enable();
    if (!same)
        Py_RETURN_NONE;
    return list;
}

/* The stack of a frame, innermost first. */
static PyObject *stack_of_frame(PyObject *frame) {
    PyObject *list = PyList_New(0);
    int count;
    Py_INCREF(frame);
    for (count = 0; list != NULL && frame != NULL; count++) {
        PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), *entry = NULL, *back;
        if (code != NULL)
            entry = entry_of(frame, code);
        Py_XDECREF(code);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
        back = count < MOST_THREAD_FRAMES ? (PyObject *)PyFrame_GetBack((PyFrameObject *)frame) : NULL;
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    return list;
}

/* thread_stacks(identities or None): {identity: [(code, line)]}, innermost first, of those other threads or of all. */
PyObject *thread_stacks(PyObject *op, PyObject *wanted) {
    PyObject *frames, *found = PyDict_New(), *own = PyLong_FromUnsignedLong(PyThread_get_thread_ident()), *key, *frame;
    Py_ssize_t position = 0;
    int collects = PyGC_Disable();
    frames = found == NULL || own == NULL ? NULL : PyObject_CallNoArgs(current_frames);
    while (frames != NULL && found != NULL && PyDict_Next(frames, &position, &key, &frame)) {
        PyObject *stack;
        if (PyObject_RichCompareBool(key, own, Py_EQ) ||
            (wanted != Py_None && PySequence_Contains(wanted, key) != 1))
            continue;
        stack = stack_of_frame(frame);
        if (stack == NULL || PyDict_SetItem(found, key, stack) < 0)
            Py_CLEAR(found);
        Py_XDECREF(stack);
    }
    if (frames == NULL || PyErr_Occurred())
        Py_CLEAR(found);
    Py_XDECREF(frames);
    Py_XDECREF(own);
    if (collects)
        PyGC_Enable();
    return found;
}

/* The identities of all other threads. */
PyObject *other_threads(PyObject *op, PyObject *unused) {
    int collects = PyGC_Disable();
    PyObject *frames = PyObject_CallNoArgs(current_frames), *found = NULL;
    PyObject *own = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (frames != NULL && own != NULL) {
        if (PyDict_DelItem(frames, own) < 0)
            PyErr_Clear();
        found = PyDict_Keys(frames);
    }
    Py_XDECREF(frames);
    Py_XDECREF(own);
    if (collects)
        PyGC_Enable();
    return found;
}

/* What an attribute of asyncio's own tasks is, without looking at those of a subclass: a new reference. */
PyObject *task_attribute(State *state, PyObject *task, PyObject *getter, PyObject *name) {
    if (LIKELY(getter != NULL && is_instance(task, state->task_type)))
        return get(getter, task, Py_TYPE(task));
    return PyObject_GetAttr(task, name);
}

/* The exception that a task has ended with, or None: a new reference. */
PyObject *exception_of(State *state, PyObject *task) {
    if (LIKELY(state->exception_of != NULL && is_instance(task, state->task_type)))
        return state->exception_of(task, NULL);
    return task_attribute(state, task, state->exception_getter, str_exception);
}

/* The task that runs on a loop now, borrowed: it is running, so it is alive. NULL without an error: none. */
PyObject *running_on(State *state, PyObject *loop) {
    PyObject *task;
    if (state->current_tasks != NULL) {
        task = PyDict_GetItemWithError(state->current_tasks, loop);
        PyErr_Clear();
        return task;
    }
    if (current_task == Py_None)
        return NULL;
    task = PyObject_CallFunctionObjArgs(current_task, loop, NULL);
    PyErr_Clear();
    Py_XDECREF(task);
    return task == Py_None ? NULL : task;
}

/* running_record(loop): the record of the task that runs on a loop now, or None. */
PyObject *running_record(PyObject *op, PyObject *loop) {
    State *self = (State *)op;
    int collects = PyGC_Disable();
    PyObject *task = running_on(self, loop), *record = task == NULL ? NULL : records_find(self->records, task);
    if (record == NULL || REFERENT(record) != task)
        record = Py_None;
    Py_INCREF(record);
    if (collects)
        PyGC_Enable();
    return record;
}

enum { IS_RUNNING, IS_SCHEDULED, IS_WAITING };
enum { IS_GONE = -1, ASK_PYTHON = -2 };

static int is_function_true(PyCFunction function, PyObject *object) {
    PyObject *result = function(object, NULL);
    int truth = result == Py_True;
    PyErr_Clear();
    Py_XDECREF(result);
    return truth;
}

/* state_of(record): the index in protocol.STATES; -1 for a task that is no more, -2 where asyncio's own code in C does not
 * know it. */
PyObject *state_of(PyObject *op, PyObject *record) {
    State *self = (State *)op;
    PyObject *task, *value;
    Fields *fields;
    int state = ASK_PYTHON, running = 0;
    if (Py_TYPE(record) != self->record_type) {
        PyErr_SetString(PyExc_TypeError, "a TaskRecord is expected");
        return NULL;
    }
    fields = FIELDS(record);
    task = referent(record);
    if (task == NULL)
        return PyLong_FromLong(fields->outcome ? fields->outcome : IS_GONE);
    if (!is_instance(task, self->task_type) || self->done == NULL || self->cancelled == NULL ||
        self->waiter_getter == NULL || self->exception_getter == NULL || self->loop_getter == NULL)
        return PyLong_FromLong(ASK_PYTHON);
    value = get(self->loop_getter, task, Py_TYPE(task));
    if (value != NULL) {
        running = running_on(self, value) == task;
        Py_DECREF(value);
    }
    PyErr_Clear();
    if (running)
        state = IS_RUNNING;
    else if (is_function_true(self->done, task)) {
        if (fields->outcome)
            state = fields->outcome;
        else if (is_function_true(self->cancelled, task))
            state = CANCELLED;
        else {
            value = get(self->exception_getter, task, Py_TYPE(task));
            state = value == NULL || value == Py_None ? DONE : FAILED;
            Py_XDECREF(value);
        }
    } else {
        PyTypeObject *future = PyType_GetSlot(self->task_type, Py_tp_base);
        value = get(self->waiter_getter, task, Py_TYPE(task));
        if (value == NULL || value == Py_None)
            state = IS_SCHEDULED;
        else if (is_instance(value, self->task_type))
            state = is_function_true(self->done, value) ? IS_SCHEDULED : IS_WAITING;
        else if (is_instance(value, future) && self->future_done != NULL)
            state = is_function_true(self->future_done, value) ? IS_SCHEDULED : IS_WAITING;
        Py_XDECREF(value);
    }
    PyErr_Clear();
    return PyLong_FromLong(state);
}

/* Whether a task of the loop is alive and not registered as one that the sampler knows. */
static int is_stranger(State *state, PyObject *task, PyObject *loop) {
    PyObject *own, *record;
    int here;
    if (is_instance(task, state->task_type)) {
        if (state->loop_getter == NULL || state->done == NULL)
            return 1;
        own = get(state->loop_getter, task, Py_TYPE(task));
        here = own == loop;
        Py_XDECREF(own);
        PyErr_Clear();
        if (!here || is_function_true(state->done, task))
            return 0;
    }
    record = records_find(state->records, task);
    return record == NULL || REFERENT(record) != task || FIELDS(record)->steps_reported < 0;
}

/* strangers(lists of weak references, loop): weak references to tasks of a loop that the sampler does not know. Without a
 * list those among the tasks that the function of asyncio finds, if that is in C. */
PyObject *strangers(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *sets, *loop, *found;
    Py_ssize_t index, count;
    int collects;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &sets, &loop))
        return NULL;
    collects = PyGC_Disable();
    found = PyList_New(0);
    count = PyList_Size(sets);
    for (index = 0; found != NULL && index <= count; index++) {
        PyObject *items = NULL, *iterator, *item;
        if (index < count) {
            items = PyList_GetItem(sets, index);
            Py_INCREF(items);
        } else if (count == 0 && all_tasks != Py_None)
            items = PyObject_CallFunctionObjArgs(all_tasks, loop, NULL);
        iterator = items == NULL || (Py_TYPE(items) != &PySet_Type && Py_TYPE(items) != &PyList_Type) ? NULL : PyObject_GetIter(items);
        PyErr_Clear();
        while (found != NULL && iterator != NULL && (item = PyIter_Next(iterator)) != NULL) {
            PyObject *task = index < count && PyWeakref_CheckRef(item) ? referent(item) : item;
            if (task != NULL && is_stranger(self, task, loop)) {
                PyObject *reference = PyWeakref_NewRef(task, NULL);
                if (reference == NULL || PyList_Append(found, reference) < 0)
                    Py_CLEAR(found);
                Py_XDECREF(reference);
            }
            Py_DECREF(item);
        }
        Py_XDECREF(iterator);
        Py_XDECREF(items);
    }
    if (collects)
        PyGC_Enable();
    return found;
}

/* instances(generation or None, types): the objects of these classes and their subclasses, among all that the collector
 * knows or those of one generation. Held by the scope of the thread. */
PyObject *instances(PyObject *op, PyObject *args) {
    PyObject *generation, *kinds, *objects, *found = NULL;
    Py_ssize_t index, each;
    int collects;
    if (!PyArg_ParseTuple(args, "OO!", &generation, &PyTuple_Type, &kinds))
        return NULL;
    for (each = 0; each < PyTuple_Size(kinds); each++)
        if (!PyType_Check(PyTuple_GetItem(kinds, each))) {
            PyErr_SetString(PyExc_TypeError, "classes are expected");
            return NULL;
        }
    collects = PyGC_Disable();
    objects = PyObject_CallFunctionObjArgs(all_objects, generation, NULL);
    found = objects == NULL ? NULL : PyList_New(0);
    for (index = 0; found != NULL && index < PyList_Size(objects); index++) {
        PyObject *object = PyList_GetItem(objects, index);
        for (each = 0; each < PyTuple_Size(kinds); each++)
            if (PyType_IsSubtype(Py_TYPE(object), (PyTypeObject *)PyTuple_GetItem(kinds, each))) {
                hold_object(object);
                if (PyList_Append(found, object) < 0)
                    Py_CLEAR(found);
                break;
            }
    }
    Py_XDECREF(objects);
    if (collects)
        PyGC_Enable();
    return found;
}
