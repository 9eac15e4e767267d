/* Waits of tasks, noted as they end, while a viewer asks where tasks wait: the await stack, and how long.
 *
 * The task is still suspended when it is made ready, so its stack is whole. To note a wait takes about 2 µs. Where there
 * are too many, those of every second task are noted, of every fourth, and so on: all waits of a task or none, for were
 * it only the long ones, they would weigh too much. Needs the step ring, which says since when a task has rested.
 */
#include "hooks.h"
#include <string.h>

#define MOST_STACKS 4096
#define MOST_NOTED 2048 /* from one look to the next */
#define WINDOW (RING_UNITS / 10)
#define A_WINDOW 100
#define FEWEST ((1u << 16) - 1)

typedef struct {
    PyObject *entries; /* [(code, line)], outermost first */
    int count;
    AwaitPlace places[];
} Stack;

typedef struct {
    PyObject *record;
    uint32_t stack, rested; /* rested: in units of `coarse` */
} Noted;

struct Waits {
    uint64_t window_began;
    uint32_t in_window, mask, stacks_used;
    int used;
    Noted noted[MOST_NOTED];
    Stack *stacks[MOST_STACKS + 1];
    uint16_t slots[2 * MOST_STACKS];
};

/* The number of a stack; 0 where there are too many. Its code objects are held. */
static uint32_t number_of(State *state, PyObject *record, const AwaitPlace *places, int count) {
    Waits *waits = state->waits;
    const size_t size = (size_t)count * sizeof(*places);
    uint64_t hash = (uint64_t)count;
    uint32_t number;
    Stack *stack;
    int index;
    for (index = 0; index < count; index++)
        hash = (hash ^ (uintptr_t)places[index].code ^ (uint64_t)(uint32_t)places[index].lasti << 40) * UINT64_C(0x9E3779B97F4A7C15);
    hash >>= 32;
    while ((number = waits->slots[hash % (2 * MOST_STACKS)]) != 0) {
        stack = waits->stacks[number];
        for (index = 0; stack->count == count && index < count && stack->places[index].code == places[index].code &&
                        stack->places[index].lasti == places[index].lasti;
             index++)
            ;
        if (stack->count == count && index == count)
            return number;
        hash++;
    }
    if (waits->stacks_used >= MOST_STACKS || (stack = PyMem_Malloc(sizeof(Stack) + size)) == NULL)
        return 0;
    stack->count = count;
    memcpy(stack->places, places, size);
    stack->entries = await_stack((PyObject *)state, record);
    if (stack->entries == NULL) {
        put_off();
        PyMem_Free(stack);
        return 0;
    }
    number = ++waits->stacks_used;
    waits->stacks[number] = stack;
    waits->slots[hash % (2 * MOST_STACKS)] = (uint16_t)number;
    return number;
}

/* A task is made ready `at` that has rested so long. Never raises. */
void wait_note(State *state, PyObject *record, uint64_t at, uint32_t rested) {
    Waits *waits = state->waits;
    const uint32_t hash = (uint32_t)((uint64_t)FIELDS(record)->id * UINT64_C(0x9E3779B97F4A7C15) >> 32);
    AwaitPlace places[MOST_AWAITED];
    uint32_t number;
    int count;
    if (hash & waits->mask)
        return;
    if (at - waits->window_began > (uint64_t)WINDOW) {
        if (waits->in_window < A_WINDOW / 4)
            waits->mask >>= 1;
        waits->window_began = at;
        waits->in_window = 0;
    }
    if (++waits->in_window > A_WINDOW || waits->used == MOST_NOTED) {
        waits->mask = (waits->mask << 1 | 1) & FEWEST;
        waits->in_window = A_WINDOW / 2;
        if (hash & waits->mask || waits->used == MOST_NOTED)
            return;
    }
    count = await_places(state, record, places);
    number = count > 0 ? number_of(state, record, places, count) : 0;
    if (number == 0)
        return;
    Py_INCREF(record);
    waits->noted[waits->used++] = (Noted){record, number, rested};
}

/* waits_start(): begins to note waits. */
PyObject *waits_start(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    if (state->waits == NULL && (state->waits = PyMem_Calloc(1, sizeof(Waits))) == NULL)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

void waits_free(State *state) {
    Waits *waits = state->waits;
    uint32_t number;
    state->waits = NULL;
    if (waits == NULL)
        return;
    while (waits->used > 0)
        Py_DECREF(waits->noted[--waits->used].record);
    for (number = 1; number <= waits->stacks_used; number++) {
        Py_DECREF(waits->stacks[number]->entries);
        PyMem_Free(waits->stacks[number]);
    }
    PyMem_Free(waits);
}

/* waits_stop(): ends that. */
PyObject *waits_stop(PyObject *op, PyObject *unused) {
    waits_free((State *)op);
    Py_RETURN_NONE;
}

/* waits_take() -> [(record, number of the stack, seconds)]: what was noted since the last call. */
PyObject *waits_take(PyObject *op, PyObject *unused) {
    Waits *waits = ((State *)op)->waits;
    PyObject *list;
    int index, count, collects;
    if (waits == NULL)
        return PyList_New(0);
    collects = PyGC_Disable(); /* a collection may run code of the program's, and that end waits */
    list = PyList_New(waits->used);
    count = list == NULL ? 0 : waits->used;
    for (index = 0; index < count; index++) {
        Noted *noted = &waits->noted[index];
        PyObject *entry = Py_BuildValue("(OId)", noted->record, noted->stack, noted->rested * (double)(1 << COARSE) / RING_UNITS);
        if (entry == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SetItem(list, index, entry);
    }
    while (waits->used > 0)
        Py_DECREF(waits->noted[--waits->used].record);
    if (collects)
        PyGC_Enable();
    return list;
}

/* waits_stack(number) -> [(code, line)], outermost first. */
PyObject *waits_stack(PyObject *op, PyObject *number) {
    Waits *waits = ((State *)op)->waits;
    long index = PyLong_AsLong(number);
    PyObject *entries;
    if (index == -1 && PyErr_Occurred())
        return NULL;
    if (waits == NULL || index < 1 || index > (long)waits->stacks_used)
        return PyList_New(0);
    entries = waits->stacks[index]->entries;
    Py_INCREF(entries);
    return entries;
}
