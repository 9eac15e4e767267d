/* Scopes in which the probe's threads read objects of the program.
 *
 * Code in Python may lose the GIL between any two instructions. If the program lets go of an object meanwhile, the probe's
 * thread has the last reference, and would run the object's finalizers outside of the program's threads and contexts. So
 * what is read in Python is held by a scope as well. When the scope ends, what only it still refers to is handed to the
 * thread of the task's loop, which lets go of it after its next callback; to the main thread if there is no such loop.
 *
 * What is needed most, stacks and states, is read without a scope: see stacks.c.
 */
#include "hooks.h"
#include <pthread.h>
#include <string.h>

#define ROOM 32
#define MOST_REFERENTS 1000
#define PATIENCE 10.0 /* seconds that a loop has for letting go, before the main thread does */

typedef struct Scope {
    struct Scope *outer;
    unsigned long thread;
    LoopClock *clock; /* NULL: the task has no loop that is known */
    PyObject **items, *first[ROOM];
    Py_ssize_t used, size;
} Scope;

static Scope *innermost; /* of all threads: two of the probe's at most */

struct Litter {
    Litter *next;
    LoopClock *clock; /* a reference; NULL: for the main thread */
    double since;
    Py_ssize_t used, size;
    PyObject **items;
};

static Litter *littered; /* of all loops */
static Litter left;      /* for the main thread */
static int asked;        /* the main thread has been asked */

static void forget_scopes(void) { innermost = NULL; } /* in a child process the reader is no more */

int reading_setup(void) {
    static int done;
    if (!done && pthread_atfork(NULL, NULL, forget_scopes) != 0) {
        PyErr_SetString(PyExc_ImportError, "no fork handler");
        return -1;
    }
    done = 1;
    return 0;
}

static Scope *scope_here(void) {
    unsigned long thread = PyThread_get_thread_ident();
    Scope *scope;
    for (scope = innermost; scope != NULL && scope->thread != thread; scope = scope->outer)
        ;
    return scope;
}

/* Puts an object at the end of an array that grows. Without memory the reference is kept for good: that is safe. */
static void append(PyObject ***items, PyObject **first, Py_ssize_t *used, Py_ssize_t *size, PyObject *object) {
    if (*used == *size) {
        Py_ssize_t more = *size ? *size * 2 : ROOM;
        PyObject **made = PyMem_Malloc((size_t)more * sizeof(PyObject *));
        if (made == NULL)
            return;
        if (*used)
            memcpy(made, *items, (size_t)*used * sizeof(PyObject *));
        if (*items != first)
            PyMem_Free(*items);
        *items = made;
        *size = more;
    }
    (*items)[(*used)++] = object;
}

static void scope_add(Scope *scope, PyObject *object) {
    Py_INCREF(object);
    append(&scope->items, scope->first, &scope->used, &scope->size, object);
}

/* Holds an object until the scope of this thread ends; without one nothing is done. */
void hold_object(PyObject *object) {
    Scope *scope = scope_here();
    if (scope != NULL)
        scope_add(scope, object);
}

PyObject *hold(PyObject *op, PyObject *object) {
    hold_object(object);
    Py_INCREF(object);
    return object;
}

/* hold_all(list): the same for the items of a list. */
PyObject *hold_all(PyObject *op, PyObject *list) {
    Scope *scope = scope_here();
    Py_ssize_t index;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "a list is expected");
        return NULL;
    }
    for (index = 0; scope != NULL && index < PyList_Size(list); index++)
        scope_add(scope, PyList_GetItem(list, index));
    Py_INCREF(list);
    return list;
}

typedef struct {
    PyObject *list;
    Py_ssize_t most;
} Some;

static int visit_some(PyObject *object, void *arg) {
    Some *some = arg;
    return PyList_Append(some->list, object) < 0 || PyList_Size(some->list) >= some->most;
}

/* some_referents(object, most=1000): the first of what `gc.get_referents` gives, without going through the others: those of
 * a dictionary of 100,000 take 3 ms in one piece. */
PyObject *some_referents(PyObject *op, PyObject *args) {
    PyObject *object;
    Some some = {NULL, MOST_REFERENTS};
    PyTypeObject *type;
    inquiry is_gc;
    traverseproc traverse;
    if (!PyArg_ParseTuple(args, "O|n", &object, &some.most) || (some.list = PyList_New(0)) == NULL)
        return NULL;
    type = Py_TYPE(object);
    if (some.most > 0 && PyType_HasFeature(type, Py_TPFLAGS_HAVE_GC) &&
        ((is_gc = PyType_GetSlot(type, Py_tp_is_gc)) == NULL || is_gc(object)) &&
        (traverse = PyType_GetSlot(type, Py_tp_traverse)) != NULL && traverse(object, visit_some, &some) &&
        PyErr_Occurred()) {
        Py_DECREF(some.list);
        return NULL;
    }
    Py_DECREF(hold_all(op, some.list)); /* it returns the list */
    return some.list;
}

static void let_go(Litter *litter) {
    PyObject **items = litter->items;
    Py_ssize_t index, used = litter->used;
    litter->items = NULL;
    litter->used = litter->size = 0;
    for (index = 0; index < used; index++)
        Py_DECREF(items[index]);
    PyMem_Free(items);
}

static int let_go_in_main(void *unused) {
    asked = 0;
    let_go(&left);
    return 0;
}

static void ask_main(void) {
    if (!asked && left.used)
        asked = Py_AddPendingCall(let_go_in_main, NULL) == 0; /* where there is no room: when it is tried again */
}

static void litter_add(LoopClock *clock, PyObject *object) {
    Litter *litter = &left;
    if (clock != NULL) {
        litter = clock->litter;
        if (litter == NULL && (litter = PyMem_Calloc(1, sizeof(Litter))) != NULL) {
            Py_INCREF((PyObject *)clock);
            litter->clock = clock;
            litter->since = now();
            litter->next = littered;
            littered = litter;
            clock->litter = litter;
        }
        if (litter == NULL)
            litter = &left;
    }
    append(&litter->items, NULL, &litter->used, &litter->size, object);
}

static void unlink_litter(Litter *litter) {
    Litter **at;
    for (at = &littered; *at != NULL && *at != litter; at = &(*at)->next)
        ;
    if (*at != NULL)
        *at = litter->next;
    litter->clock->litter = NULL;
}

/* In the thread of the loop: lets go of what was read of it and the program has dropped meanwhile. */
void drop_litter(LoopClock *clock) {
    Litter *litter = clock->litter;
    unlink_litter(litter);
    let_go(litter);
    PyMem_Free(litter);
    Py_DECREF((PyObject *)clock); /* the caller has one more */
}

/* drop_held(clock or None): what waits for the thread of that loop is dropped here and now. With None, of all loops that
 * have had their time: by the main thread. */
PyObject *drop_held(PyObject *op, PyObject *object) {
    State *self = (State *)op;
    Litter *litter, *next;
    double late = now() - PATIENCE;
    Py_ssize_t index;
    if (object != Py_None) {
        if (!PyObject_TypeCheck(object, self->clock_type)) {
            PyErr_SetString(PyExc_TypeError, "a LoopClock is expected");
            return NULL;
        }
        if (((LoopClock *)object)->litter != NULL)
            drop_litter((LoopClock *)object);
        Py_RETURN_NONE;
    }
    for (litter = littered; litter != NULL; litter = next) {
        next = litter->next;
        if (litter->since > late && !self->closed)
            continue;
        unlink_litter(litter);
        for (index = 0; index < litter->used; index++)
            append(&left.items, NULL, &left.used, &left.size, litter->items[index]);
        PyMem_Free(litter->items);
        Py_DECREF((PyObject *)litter->clock);
        PyMem_Free(litter);
    }
    ask_main();
    Py_RETURN_NONE;
}

static void scope_end(Scope *scope) {
    Scope **at;
    Py_ssize_t index;
    for (at = &innermost; *at != NULL && *at != scope; at = &(*at)->outer)
        ;
    if (*at != NULL)
        *at = scope->outer;
    /* Nothing here gives up the GIL: a reference that is not the last one now is not the last one when it is dropped. */
    for (index = 0; index < scope->used; index++) {
        PyObject *item = scope->items[index];
        if (references(item) > 1)
            Py_DECREF(item);
        else
            litter_add(scope->clock, item);
    }
    if (scope->items != scope->first)
        PyMem_Free(scope->items);
    if (scope->clock == NULL)
        ask_main();
    Py_XDECREF((PyObject *)scope->clock);
}

/* An error that leaves a scope takes no frames along: they refer to what was read. */
static void drop_traceback(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && PyException_SetTraceback(value, Py_None) < 0)
        PyErr_Clear();
    Py_XDECREF(traceback);
    PyErr_Restore(type, value, NULL);
}

/* The object of a weak reference, borrowed; NULL if it is no more. */
PyObject *referent(PyObject *reference) {
    PyObject *object = REFERENT(reference);
    return object == Py_None || references(object) == 0 ? NULL : object;
}

PyObject *is_alive(PyObject *op, PyObject *reference) {
    if (!PyWeakref_CheckRef(reference)) {
        PyErr_SetString(PyExc_TypeError, "a weak reference is expected");
        return NULL;
    }
    return PyBool_FromLong(referent(reference) != NULL);
}

#define MOST_ARGUMENTS 8

/* read(reference, function, *args): function(object, *args) in a scope; None if the object is no more. */
PyObject *read_object(PyObject *op, PyObject *const *args, Py_ssize_t count) {
    State *self = (State *)op;
    Scope scope = {innermost, PyThread_get_thread_ident(), NULL, NULL, {NULL}, 0, ROOM};
    PyObject *object, *result, *stack[MOST_ARGUMENTS + 2];
    if (count < 2 || count > MOST_ARGUMENTS + 2 || !PyWeakref_CheckRef(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a weak reference, a function and its arguments are expected");
        return NULL;
    }
    object = referent(args[0]);
    if (object == NULL)
        Py_RETURN_NONE;
    scope.items = scope.first;
    if (Py_TYPE(args[0]) == self->record_type) {
        scope.clock = (LoopClock *)FIELDS(args[0])->loop;
        Py_XINCREF((PyObject *)scope.clock);
    }
    scope_add(&scope, object);
    innermost = &scope;
    stack[1] = object;
    memcpy(stack + 2, args + 2, (size_t)(count - 2) * sizeof(PyObject *));
    result = PyObject_Vectorcall(args[1], stack + 1, (size_t)(count - 1) | OFFSET_FLAG, NULL);
    if (result == NULL)
        drop_traceback();
    scope_end(&scope);
    return result;
}
