/* An exception that left a callback is raised again inside asyncio's own `_run`: context, text and traceback are
 * asyncio's then.
 */
#include "hooks.h"

/* A context whose `run` raises the exception of a callback again, once. */
typedef struct {
    PyObject_HEAD
    State *state;     /* while asyncio's `_run` has the handle, and has not asked for its context; else NULL */
    PyObject *handle; /* borrowed: the caller of the hook holds it */
    PyObject *context, *arguments, *type, *value, *traceback;
} ReraisingContext;

/* Restores context and arguments of the handle. */
static void restore_handle(ReraisingContext *self) {
    State *state = self->state;
    PyObject *ours = SLOT(self->handle, state, CONTEXT), *arguments = SLOT(self->handle, state, ARGS);
    SLOT(self->handle, state, CONTEXT) = self->context;
    SLOT(self->handle, state, ARGS) = self->arguments;
    self->state = NULL;
    self->context = self->arguments = NULL;
    Py_XDECREF(ours);
    Py_XDECREF(arguments);
}

static PyObject *reraising_run(PyObject *op, PyObject *args, PyObject *kwargs) {
    ReraisingContext *self = (ReraisingContext *)op;
    PyObject *type = self->type, *value = self->value, *traceback = self->traceback;
    if (self->state != NULL)
        restore_handle(self); /* the creator of this context holds it */
    self->type = self->value = self->traceback = NULL;
    if (type == NULL)
        PyErr_SetString(PyExc_RuntimeError, "raised already");
    else
        PyErr_Restore(type, value, traceback);
    return NULL;
}

static int reraising_traverse(PyObject *op, visitproc visit, void *arg) {
    ReraisingContext *self = (ReraisingContext *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->context);
    Py_VISIT(self->arguments);
    Py_VISIT(self->type);
    Py_VISIT(self->value);
    Py_VISIT(self->traceback);
    return 0;
}

static int reraising_clear(PyObject *op) {
    ReraisingContext *self = (ReraisingContext *)op;
    Py_CLEAR(self->context);
    Py_CLEAR(self->arguments);
    Py_CLEAR(self->type);
    Py_CLEAR(self->value);
    Py_CLEAR(self->traceback);
    return 0;
}

static void reraising_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(op);
    reraising_clear(op);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef reraising_methods[] = {
    {"run", (PyCFunction)(void (*)(void))reraising_run, METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL},
};
static PyType_Slot reraising_slots[] = {
    {Py_tp_methods, reraising_methods},   {Py_tp_traverse, reraising_traverse}, {Py_tp_clear, reraising_clear},
    {Py_tp_dealloc, reraising_dealloc}, {0, NULL},
};
PyType_Spec reraising_spec = {
    .name = "probes.hooks._native.ReraisingContext",
    .basicsize = sizeof(ReraisingContext),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reraising_slots,
};

/* Lets asyncio's `_run` meet the exception that is set now, as if it came from the callback of the handle. */
PyObject *raise_in_asyncios(Hook *hook, PyObject *handle, PyObject *arguments) {
    State *state = hook->state;
    PyObject *type, *value, *traceback, *result;
    ReraisingContext *raised;
    PyErr_Fetch(&type, &value, &traceback);
    raised = PyObject_GC_New(ReraisingContext, state->reraising_type);
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
        restore_handle(raised);
    Py_DECREF((PyObject *)raised);
    return result;
}
