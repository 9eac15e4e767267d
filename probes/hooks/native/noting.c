/* A dictionary that notes the last key that the current task looked up in it: the status of a response, which uvicorn
 * keeps nowhere else (probes/labels/uvicorn_status.py has the same in Python). */
#include "hooks.h"

#define MOST_KEPT 1000

/* Behind the fields of a dict. */
typedef struct {
    State *state;
    PyObject *noted; /* a dict: the key by the address of the task */
    PyObject *running_loop; /* asyncio's function: the loop that runs in this thread, or None */
    PyObject *others; /* called with the key where no request of a plan that has `noted` runs */
} Notes;

static Py_ssize_t notes_offset; /* of Notes in the dictionary */
#define NOTES(op) ((Notes *)((char *)(op) + notes_offset))

/* The task that runs, if it is a request whose status is noted there; borrowed: it is running, so it is alive. */
static PyObject *find_request(Notes *notes) {
    PyObject *loop = PyObject_Vectorcall(notes->running_loop, NULL, 0, NULL), *task, *record;
    task = loop == NULL || loop == Py_None ? NULL : running_on(notes->state, loop);
    Py_XDECREF(loop);
    record = task == NULL ? NULL : records_find(notes->state->records, task);
    return record != NULL && REFERENT(record) == task && group_notes_in(record, notes->noted) ? task : NULL;
}

static void note(Notes *notes, PyObject *key) {
    PyObject *task = find_request(notes), *address, *result = NULL;
    put_off();
    if (LIKELY(task != NULL)) {
        if (UNLIKELY(PyDict_Size(notes->noted) >= MOST_KEPT))
            PyDict_Clear(notes->noted);
        address = PyLong_FromVoidPtr(task);
        if (address != NULL)
            PyDict_SetItem(notes->noted, address, key);
        Py_XDECREF(address);
    } else
        result = PyObject_CallFunctionObjArgs(notes->others, key, NULL);
    Py_XDECREF(result);
    put_off();
}

static PyObject *noting_subscript(PyObject *op, PyObject *key) {
    static binaryfunc subscript;
    PyObject *found;
    if (subscript == NULL)
        subscript = (binaryfunc)PyType_GetSlot(&PyDict_Type, Py_mp_subscript);
    found = subscript(op, key);
    if (LIKELY(found != NULL && NOTES(op)->noted != NULL))
        note(NOTES(op), key);
    return found;
}

/* note_in(state, noted, running loop, others) */
static PyObject *noting_note_in(PyObject *op, PyObject *args) {
    Notes *notes = NOTES(op);
    PyObject *state, *noted, *running_loop, *others;
    if (!PyArg_ParseTuple(args, "OO!OO", &state, &PyDict_Type, &noted, &running_loop, &others))
        return NULL;
    if (notes->noted != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it notes already");
        return NULL;
    }
    Py_INCREF(state);
    notes->state = (State *)state;
    Py_INCREF(running_loop);
    notes->running_loop = running_loop;
    Py_INCREF(others);
    notes->others = others;
    Py_INCREF(noted);
    notes->noted = noted;
    Py_RETURN_NONE;
}

static int noting_traverse(PyObject *op, visitproc visit, void *arg) {
    traverseproc traverse = (traverseproc)PyType_GetSlot(&PyDict_Type, Py_tp_traverse);
    Notes *notes = NOTES(op);
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)notes->state);
    Py_VISIT(notes->noted);
    Py_VISIT(notes->running_loop);
    Py_VISIT(notes->others);
    return traverse(op, visit, arg);
}

static void drop_notes(Notes *notes) {
    Py_CLEAR(notes->noted);
    Py_CLEAR(notes->running_loop);
    Py_CLEAR(notes->others);
    Py_CLEAR(notes->state);
}

static int noting_clear(PyObject *op) {
    inquiry clear = (inquiry)PyType_GetSlot(&PyDict_Type, Py_tp_clear);
    drop_notes(NOTES(op));
    return clear(op);
}

static void noting_dealloc(PyObject *op) {
    destructor dealloc = (destructor)PyType_GetSlot(&PyDict_Type, Py_tp_dealloc);
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    drop_notes(NOTES(op));
    dealloc(op);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef noting_methods[] = {
    {"note_in", noting_note_in, METH_VARARGS, "Where keys are noted, and what is called where no request runs."},
    {NULL},
};
static PyType_Slot noting_slots[] = {
    {Py_tp_methods, noting_methods}, {Py_mp_subscript, noting_subscript}, {Py_tp_traverse, noting_traverse},
    {Py_tp_clear, noting_clear},     {Py_tp_dealloc, noting_dealloc},     {0, NULL},
};
PyType_Spec noting_spec = {
    .name = "probes.hooks._native.Noting",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = noting_slots,
};

/* Finds where behind a dict fields may begin. */
int noting_setup(void) {
    PyObject *size = PyObject_GetAttrString((PyObject *)&PyDict_Type, "__basicsize__");
    notes_offset = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    if (notes_offset < 0 || notes_offset % (Py_ssize_t)sizeof(void *) != 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ImportError, "dictionaries have an odd size");
        return -1;
    }
    noting_spec.basicsize = (int)(notes_offset + (Py_ssize_t)sizeof(Notes));
    return 0;
}
