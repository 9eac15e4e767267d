/* The watchdog's pause while all loops rest: without the GIL, and without a look in Python until something runs. */
#include "hooks.h"

#define MOST_CLOCKS 64
#define LITTLE 5e-5 /* watchdog.LITTLE: a loop with less callback time than this has rested */

enum { AWAKE, UNTIL_A_STEP, FOR_A_WHILE };
#define UNSEEN 10 /* times `every`: how long a step may go unnoticed that began just when a wait did */

/* What the clocks say: 1 if a loop no longer rests, 0 if all do, -1 if a callback has just begun. */
static int look(volatile LoopClock **clocks, const double *busy, Py_ssize_t count, double every, double at) {
    Py_ssize_t index;
    int found = 0;
    for (index = 0; index < count; index++) {
        double started = clocks[index]->started;
        if (clocks[index]->busy - busy[index] >= LITTLE || (started != 0.0 && at - started >= every))
            return 1;
        if (started != 0.0)
            found = -1;
    }
    return found;
}

/* rest(clocks, every, most, ends): waits until a callback has run for `every` seconds, the loops have been busy for a
 * while, one starts or stops, or `end_rest` is called; `most` seconds at most. Returns the time of the last look. `ends` is
 * what `rest_ends` was when the caller began to look at the loops: it counts the calls of `end_rest`, so none is missed.
 *
 * The hook of Handle._run ends a wait by releasing a lock, under the GIL; here the lock is held whenever `resting` is set. */
PyObject *rest(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *clocks;
    volatile LoopClock *clock[MOST_CLOCKS];
    double every, most, busy[MOST_CLOCKS], begun = now(), last = begun;
    volatile int *resting = &self->resting;
    volatile int64_t *rest_ends = &self->rest_ends;
    long long ends;
    Py_ssize_t index, count;
    int over;
    if (!PyArg_ParseTuple(args, "O!ddL", &PyTuple_Type, &clocks, &every, &most, &ends))
        return NULL;
    count = PyTuple_Size(clocks); /* the caller has it for the time of the call */
    if (count > MOST_CLOCKS) {
        PyErr_SetString(PyExc_ValueError, "too many loops");
        return NULL;
    }
    for (index = 0; index < count; index++) {
        if (!is_instance(PyTuple_GetItem(clocks, index), self->clock_type)) {
            PyErr_SetString(PyExc_TypeError, "a LoopClock is expected");
            return NULL;
        }
        clock[index] = (LoopClock *)PyTuple_GetItem(clocks, index);
        busy[index] = clock[index]->busy;
    }
    if (self->alarm == NULL && (self->alarm = PyThread_allocate_lock()) == NULL)
        return PyErr_NoMemory();
    PyThread_acquire_lock(self->alarm, NOWAIT_LOCK); /* held from now on, unless it is held already */
    over = *rest_ends != ends;
    Py_BEGIN_ALLOW_THREADS
    while (!over) {
        double wait = every;
        *resting = UNTIL_A_STEP;
        if (look(clock, busy, count, every, last) == 0) {
            wait = UNSEEN * every;
            if (wait > most - (last - begun))
                wait = most - (last - begun) > every ? most - (last - begun) : every;
        } else
            *resting = FOR_A_WHILE;
        if (PyThread_acquire_lock_timed(self->alarm, (PY_TIMEOUT_T)(wait * 1e6), 0) != PY_LOCK_ACQUIRED)
            ; /* it is still held here */
        else if (*rest_ends == ends) {
            /* A step has begun: how long it takes is seen later. */
            *resting = FOR_A_WHILE;
            PyThread_acquire_lock_timed(self->alarm, (PY_TIMEOUT_T)(every * 1e6), 0);
        }
        last = now();
        over = *rest_ends != ends || last - begun >= most || look(clock, busy, count, every, last) > 0;
    }
    Py_END_ALLOW_THREADS
    self->resting = AWAKE;
    return PyFloat_FromDouble(last);
}

void step_begins(State *state) {
    if (state->resting == UNTIL_A_STEP) {
        state->resting = AWAKE;
        PyThread_release_lock(state->alarm);
    }
}

PyObject *end_rest(PyObject *op, PyObject *unused) {
    State *self = (State *)op;
    self->rest_ends++;
    if (self->resting != AWAKE) {
        self->resting = AWAKE;
        PyThread_release_lock(self->alarm);
    }
    Py_RETURN_NONE;
}
