/* Which thread has the GIL: sampled by a thread that never asks for it, so it sees every moment as likely as any other.
 *
 * The state of the GIL of the main interpreter is in the interpreter's static data: the switch interval, the thread that
 * took it last, and whether it is taken. Where, is found by what these must be while the caller has the GIL; the place
 * is used only if no other one looks like it. Thread states are identified by their addresses, and looked at by threads
 * that have the GIL only.
 */
#include "hooks.h"

#ifdef __linux__
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

BEYOND PyThreadState *PyInterpreterState_ThreadHead(PyInterpreterState *interpreter);
BEYOND PyThreadState *PyThreadState_Next(PyThreadState *thread);
BEYOND unsigned long PyThread_get_thread_ident(void);

#define MOST_HOLDERS 64
#define PROBED 512  /* bytes of a thread state that are looked through */
#define BLOCK 65536 /* bytes that are read at once */

/* Since 3.11; a free-threaded build has something before it. */
typedef struct {
    unsigned long interval; /* us */
    PyThreadState *last_holder;
    int locked;
} Gil;

typedef struct {
    uintptr_t thread_state;
    int64_t held; /* ns */
} Holder;

typedef struct {
    PyObject_HEAD
    const Gil *gil;
    Py_ssize_t thread_id;
    pthread_mutex_t lock;
    Holder holders[MOST_HOLDERS];
    int count;
    int64_t looked, cpu; /* ns */
    uint64_t random;
    double interval;
    int stopped;
} GilSampler;

static int64_t nanoseconds(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* The one place in a range of memory that looks as the GIL must now; NULL if there is none, or more than one. */
static const Gil *find_gil(uintptr_t begin, uintptr_t end, unsigned long interval) {
    int file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), places = 0;
    char *block = malloc(BLOCK);
    const Gil *found = NULL;
    uintptr_t at;
    PyThreadState *own = PyThreadState_Get();
    for (at = begin; file >= 0 && block != NULL && at < end; at += BLOCK - sizeof(Gil)) {
        ssize_t size = pread(file, block, end - at < BLOCK ? end - at : BLOCK, (off_t)at), offset;
        for (offset = 0; offset + (ssize_t)sizeof(Gil) <= size; offset += 8) {
            const Gil *gil = (const Gil *)(block + offset);
            const Gil *place = (const Gil *)(at + (uintptr_t)offset);
            if (gil->interval == interval && gil->last_holder == own && gil->locked == 1 && place != found) {
                found = place;
                places++;
            }
        }
    }
    if (file >= 0)
        close(file);
    free(block);
    return places == 1 ? found : NULL;
}

/* gil_sampler(begin, end of the interpreter's static data, switch interval in us, seconds between samples): ready to
 * run, or NotImplementedError. */
static PyObject *gil_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    unsigned long long begin, end;
    unsigned long interval;
    double every;
    GilSampler *self;
    uintptr_t own;
    Py_ssize_t offset;
    if (!PyArg_ParseTuple(args, "KKkd", &begin, &end, &interval, &every))
        return NULL;
    if (PyInterpreterState_ThreadHead == NULL || PyThreadState_Next == NULL || PyThread_get_thread_ident == NULL) {
        PyErr_SetString(PyExc_NotImplementedError, "this Python does not list its threads");
        return NULL;
    }
    self = (GilSampler *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    self->interval = every;
    self->random = (uint64_t)nanoseconds(CLOCK_MONOTONIC) | 1;
    self->gil = find_gil((uintptr_t)begin, (uintptr_t)end, interval);
    self->thread_id = -1;
    own = (uintptr_t)PyThreadState_Get();
    for (offset = 0; offset < PROBED && self->thread_id < 0; offset += 8)
        if (*(unsigned long *)(own + (uintptr_t)offset) == PyThread_get_thread_ident())
            self->thread_id = offset;
    if (self->gil == NULL || self->thread_id < 0) {
        Py_DECREF((PyObject *)self);
        PyErr_SetString(PyExc_NotImplementedError, "this Python keeps its GIL where it is not known");
        return NULL;
    }
    return (PyObject *)self;
}

static void sample(GilSampler *self, int64_t elapsed) {
    uintptr_t holder = (uintptr_t)__atomic_load_n(&self->gil->last_holder, __ATOMIC_RELAXED);
    int index, locked = __atomic_load_n(&self->gil->locked, __ATOMIC_RELAXED);
    self->looked += elapsed;
    if (locked != 1 || holder == 0)
        return;
    for (index = 0; index < self->count && self->holders[index].thread_state != holder; index++)
        ;
    if (index == MOST_HOLDERS)
        return;
    if (index == self->count)
        self->holders[self->count++] = (Holder){holder, 0};
    self->holders[index].held += elapsed;
}

static PyObject *gil_run(PyObject *op, PyObject *unused) {
    GilSampler *self = (GilSampler *)op;
    PyThreadState *saved = PyEval_SaveThread();
    int64_t last = nanoseconds(CLOCK_MONOTONIC), at;
    while (!__atomic_load_n(&self->stopped, __ATOMIC_ACQUIRE)) {
        struct timespec wait = {0, 0};
        /* From half to one and a half: a program that does something a hundred times a second is not always met there. */
        self->random ^= self->random << 13;
        self->random ^= self->random >> 7;
        self->random ^= self->random << 17;
        wait.tv_nsec = (long)(self->interval * (0.5 + (double)(self->random >> 11) * 0x1p-53) * 1e9);
        nanosleep(&wait, NULL);
        if (pthread_mutex_trylock(&self->lock) != 0) /* the next sample counts for this one, too */
            continue;
        at = nanoseconds(CLOCK_MONOTONIC);
        sample(self, at - last);
        self->cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
        pthread_mutex_unlock(&self->lock);
        last = at;
    }
    PyEval_RestoreThread(saved);
    Py_RETURN_NONE;
}

static PyObject *gil_stop(PyObject *op, PyObject *unused) {
    __atomic_store_n(&((GilSampler *)op)->stopped, 1, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

/* The identity of the thread with this state; 0 if it has ended. */
static unsigned long ident_of(GilSampler *self, uintptr_t thread_state) {
    PyThreadState *state;
    for (state = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); state != NULL; state = PyThreadState_Next(state))
        if ((uintptr_t)state == thread_state)
            return *(unsigned long *)(thread_state + (uintptr_t)self->thread_id);
    return 0;
}

/* drain(): ([(identity of a thread, or 0, seconds it had the GIL)], seconds looked, CPU seconds of the thread so far). */
static PyObject *gil_drain(PyObject *op, PyObject *unused) {
    GilSampler *self = (GilSampler *)op;
    Holder holders[MOST_HOLDERS];
    PyObject *list = PyList_New(0);
    int64_t looked, cpu;
    int count, index;
    while (list != NULL && pthread_mutex_trylock(&self->lock) != 0) {
        Py_BEGIN_ALLOW_THREADS
        struct timespec moment = {0, 100000};
        nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS
    }
    if (list == NULL)
        return NULL;
    count = self->count;
    for (index = 0; index < count; index++)
        holders[index] = self->holders[index];
    looked = self->looked;
    cpu = self->cpu;
    self->count = 0;
    self->looked = 0;
    pthread_mutex_unlock(&self->lock);
    for (index = 0; index < count; index++) {
        unsigned long ident = ident_of(self, holders[index].thread_state);
        PyObject *row = Py_BuildValue("(kd)", ident, (double)holders[index].held * 1e-9);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_XDECREF(row);
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(row);
    }
    return Py_BuildValue("(Ndd)", list, (double)looked * 1e-9, (double)cpu * 1e-9);
}

static void gil_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    pthread_mutex_destroy(&((GilSampler *)op)->lock);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef gil_methods[] = {
    {"run", gil_run, METH_NOARGS, "The body of the thread: samples until `stop`, without the GIL."},
    {"stop", gil_stop, METH_NOARGS, "Ends `run` within one interval and a half."},
    {"drain", gil_drain, METH_NOARGS, "What was sampled since the last call."},
    {NULL},
};
static PyType_Slot gil_slots[] = {
    {Py_tp_new, gil_new},
    {Py_tp_methods, gil_methods},
    {Py_tp_dealloc, gil_dealloc},
    {0, NULL},
};
PyType_Spec gil_spec = {
    .name = "probes.hooks._native.GilSampler",
    .basicsize = sizeof(GilSampler),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = gil_slots,
};
#endif
