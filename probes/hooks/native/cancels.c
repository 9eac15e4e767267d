/* A cancelled future that wakes a task: who cancelled is on the stack now, and is noted in Python (probes/hooks/cancellation.py). */
#include "hot.h"

/* -1 with what is no Exception (a signal's): that is the program's. */
int note_cancel(State *state, PyObject *loop, PyObject *callback, PyObject *future) {
    PyObject *task = NULL, *result, *function = state->on_cancel;
    if (function == NULL || function == Py_None || !is_step(state, callback, &task))
        return 0;
    Py_INCREF(function);
    result = PyObject_CallFunctionObjArgs(function, loop, task, future, NULL);
    Py_DECREF(function);
    if (result == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear(); /* it tells of its own errors */
    }
    Py_XDECREF(result);
    return 0;
}
