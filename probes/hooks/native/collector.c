/* How long collections of garbage take.
 *
 * CPython says when one begins and ends to the functions of one list only, which the program sees as `gc.callbacks`. So
 * the interpreter gets a list of ours in its place, with one function that keeps the time and then calls those of the
 * program's list, which stays what and where it is. Where the interpreter refers to that list is found by looking for
 * it: next to the reference to `gc.garbage`, as in every CPython from 3.9 to 3.15.
 */
#include "hooks.h"

#define MOST_STATE (16 << 10) /* bytes of the main interpreter's state that are searched; it is several times as large */
#define LONG_PAUSE 0.001 /* seconds: shorter ones explain no slow callback */

static PyObject **find_slot(PyObject *garbage, PyObject *callbacks) {
    PyObject **words = (PyObject **)PyInterpreterState_Get(), **found = NULL;
    size_t index;
    for (index = 1; index < MOST_STATE / sizeof(PyObject *); index++)
        if (words[index] == callbacks && words[index - 1] == garbage) {
            if (found != NULL)
                return NULL;
            found = &words[index];
        }
    return found;
}

static long generation_of(PyObject *info) {
    static PyObject *name;
    PyObject *number;
    long generation;
    if (name == NULL && (name = PyUnicode_InternFromString("generation")) == NULL) {
        PyErr_Clear();
        return -1;
    }
    number = PyDict_Check(info) ? PyDict_GetItemWithError(info, name) : NULL;
    generation = number != NULL && PyLong_Check(number) ? PyLong_AsLong(number) : -1;
    if (generation < 0)
        PyErr_Clear();
    return generation;
}

static void note(State *state, double began, double ended, PyObject *info) {
    double took = ended - began;
    long generation = generation_of(info);
    if (took > state->longest_collection)
        state->longest_collection = took;
    if (generation >= 0 && generation < GENERATIONS) {
        state->collecting[generation] += took;
        (void)distribution_add(&state->collections[generation], took); /* without memory it is not counted */
    }
    if (took >= LONG_PAUSE)
        state->pauses[state->last_pause++ % PAUSES] = (Pause){began, ended};
    trace_collection(state, began, ended, generation);
}

/* As CPython calls them: an error is reported, and the next is called. */
static void call_programs(State *state, PyObject *phase, PyObject *info) {
    PyObject *callbacks = state->programs_callbacks, *result, *callback;
    Py_ssize_t index;
    if (callbacks == NULL)
        return;
    Py_INCREF(callbacks);
    for (index = 0; index < PyList_Size(callbacks); index++) {
        callback = PyList_GetItem(callbacks, index);
        Py_INCREF(callback);
        result = PyObject_CallFunctionObjArgs(callback, phase, info, NULL);
        if (result == NULL)
            PyErr_WriteUnraisable(callback);
        Py_XDECREF(result);
        Py_DECREF(callback);
    }
    Py_DECREF(callbacks);
}

/* Called by the interpreter, in whichever thread collects. What the program's functions do is not part of the time. */
static PyObject *collected(PyObject *op, PyObject *const *args, Py_ssize_t count) {
    State *state = (State *)op;
    double at = now();
    int starts;
    if (count != 2 || !PyUnicode_Check(args[0]))
        Py_RETURN_NONE;
    starts = PyUnicode_CompareWithASCIIString(args[0], "start") == 0;
    if (!starts && state->collection_began != 0.0)
        note(state, state->collection_began, at, args[1]);
    state->collection_began = 0.0;
    call_programs(state, args[0], args[1]);
    if (starts)
        state->collection_began = now();
    Py_RETURN_NONE;
}

static PyMethodDef callback_def = {"collected", (PyCFunction)(void (*)(void))collected, METH_FASTCALL, NULL};

/* time_collections(gc): begins. False where the interpreter's list is not found. The module is given: after an attach by
 * pid what only we import is not in `sys.modules`, without which an import in C fails. */
PyObject *time_collections(PyObject *op, PyObject *module) {
    State *state = (State *)op;
    PyObject *callbacks = NULL, *garbage = NULL, *own = NULL, *function = NULL;
    PyObject **slot = NULL;
    if (state->collector_slot != NULL)
        Py_RETURN_TRUE;
    if ((callbacks = PyObject_GetAttrString(module, "callbacks")) == NULL ||
        (garbage = PyObject_GetAttrString(module, "garbage")) == NULL)
        goto out;
    slot = PyList_CheckExact(callbacks) ? find_slot(garbage, callbacks) : NULL;
    if (slot == NULL || (own = PyList_New(0)) == NULL || (function = PyCFunction_New(&callback_def, op)) == NULL ||
        PyList_Append(own, function) < 0) {
        slot = NULL;
        goto out;
    }
    PyObject_GC_UnTrack(function); /* `gc.get_objects` shows neither */
    PyObject_GC_UnTrack(own);
    Py_INCREF(own);
    state->own_callbacks = own;
    state->programs_callbacks = *slot; /* with the interpreter's reference to it, which gets ours */
    state->collection_began = 0.0;
    *slot = own;
    own = NULL;
    state->collector_slot = slot;
out:
    Py_XDECREF(callbacks);
    Py_XDECREF(garbage);
    Py_XDECREF(own);
    Py_XDECREF(function);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(slot != NULL);
}

/* leave_collections(): gives the interpreter its list back. */
PyObject *leave_collections(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    PyObject **slot = state->collector_slot, *own = state->own_callbacks;
    if (slot == NULL)
        Py_RETURN_NONE;
    state->collector_slot = NULL;
    state->own_callbacks = NULL;
    if (*slot == own) {
        *slot = state->programs_callbacks;
        state->programs_callbacks = NULL;
        Py_DECREF(own);
        PyList_SetSlice(own, 0, PyList_Size(own), NULL); /* its function refers to the state, and nobody visits them */
    }
    Py_DECREF(own);
    Py_RETURN_NONE;
}

/* take_collections(): seconds of all collections so far, and of the longest since the last call. */
PyObject *take_collections(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    double longest = state->longest_collection, all = 0.0;
    int generation;
    state->longest_collection = 0.0;
    for (generation = 0; generation < GENERATIONS; generation++)
        all += state->collecting[generation];
    return Py_BuildValue("(dd)", all, longest);
}

/* collection_pauses(): begin and end of the newest collections that were long. */
PyObject *collection_pauses(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    PyObject *list = PyList_New(0);
    unsigned index;
    for (index = 0; list != NULL && index < PAUSES; index++) {
        Pause *pause = &state->pauses[index];
        PyObject *pair = pause->ended == 0.0 ? NULL : Py_BuildValue("(dd)", pause->began, pause->ended);
        if (pause->ended != 0.0 && (pair == NULL || PyList_Append(list, pair) < 0))
            Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

/* collection_times(): for each generation, the youngest first: seconds of all, and a histogram, buckets and counts in turn. */
PyObject *collection_times(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    PyObject *list = PyList_New(0), *one;
    int generation;
    for (generation = 0; list != NULL && generation < GENERATIONS; generation++) {
        one = distribution_list(&state->collections[generation]);
        one = one == NULL ? NULL : Py_BuildValue("(dN)", state->collecting[generation], one);
        if (one == NULL || PyList_Append(list, one) < 0)
            Py_CLEAR(list);
        Py_XDECREF(one);
    }
    return list;
}
