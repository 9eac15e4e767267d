/* Shared by all hooks: the Hook type, interned names, and handling of a hook that raises.
 *
 * A hook is a method descriptor with a dictionary: it looks like the function in whose place it is, binds to a bound
 * method, and calls that function (`original`) whenever something is not as usual.
 */
#include "hooks.h"
#include <stddef.h>

PyObject *str_closed, *str_debug, *str_factory, *str_ready, *str_context, *str_name, *str_loop, *str_eager_start;
PyObject *str_exception, *str_dunder_name, *str_done, *str_cancelled, *str_add, *str_run, *str_Task;
PyObject *str_get_factory, *str_cr_code, *str_waiter, *str_result, *str_coro, *str_own_loop, *str_own_coro;
PyObject *str_cr_suspended, *str_gi_suspended, *kw_loop, *kw_context, *kw_all, *zero, *no_arguments;

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
        {&str_result, "result"}, {&str_coro, "coro"}, {&str_own_loop, "_loop"}, {&str_own_coro, "_coro"},
        {&str_cr_suspended, "cr_suspended"}, {&str_gi_suspended, "gi_suspended"},
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

/* A hook failed: it is switched off and reported, and the program continues. An error that is not an Exception is the
 * program's: -1. */
int swallow(State *state, const char *name) {
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

static int raise_late(void *error) {
    PyErr_SetObject((PyObject *)Py_TYPE((PyObject *)error), error);
    Py_DECREF((PyObject *)error);
    return -1;
}

/* Clears an error, if there is one, where nothing can be raised. What a signal handler raised to end the program, or
 * Ctrl+C, is raised in the main thread, where these run, as soon as that is between two instructions of Python. */
void put_off(void) {
    PyObject *type, *value, *traceback;
    if (!PyErr_Occurred())
        return;
    if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) && !PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    if (value != NULL && Py_AddPendingCall(raise_late, value) < 0)
        Py_DECREF(value);
}

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
