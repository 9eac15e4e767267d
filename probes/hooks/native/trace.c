/* The step ring: what ran, when it had become ready, and who made it ready; the newest events of a process.
 *
 * An event is 20 bytes (docs/protocol.md has the layout). Times are quarters of a microsecond of CLOCK_MONOTONIC, of
 * which an event holds the lower 32 bits; marks hold the rest, so a reader starts at a mark. A wait is described when
 * it ends, and only if it was long: its task is still suspended there, and the frame that ends it is running. Short
 * waits are too many to pay for that. Code objects are numbered; names and lines are looked up on request.
 */
#include "hooks.h"
#include <stdlib.h>
#include <string.h>

#define MARK_EVERY 4096
#define MARK_AFTER ((uint64_t)1 << 29) /* 134 s, so that 32 bits are unambiguous in between */
#define LONG_WAIT ((uint32_t)4000) /* 1 ms */
#define LONG_COLLECTION ((uint64_t)200) /* 50 µs */
#define LONGEST_LIMIT ((uint32_t)256000) /* 64 ms */
/* To describe a wait takes 3 to 4 µs. So many are described in 0.1 s, 0.2 % of a core at most, and more while
 * a viewer traces; where that is too few, only longer waits are from then on. */
#define WINDOW ((uint64_t)400000)
#define WAITS_A_WINDOW 60
#define WAITS_TRACED 2000
#define MOST_CODES 8192
#define PLACE_BITS 13
#define OBJECT_BITS (32 - PLACE_BITS)
#define LIFE_BITS (28 - PLACE_BITS) /* of a life, in each of two fields */
#define LONGEST_PASSED ((uint64_t)1 << 2 * LIFE_BITS)
#define ABOVE_PLACE 0x0FFFFFFFu
#define SEEN 4096 /* objects that are distinguished at a time */
#define NAMES_A_WINDOW 10 /* each takes about 10 µs */
#define NAMES_TRACED 50
#define MOST_FRAMES 16
#define NOT_KNOWN 0x0FFFFFFFu
#define LINE 64
#define LONGEST 0x0FFFFFFEu /* 67 s or more: how long is in an event of its own, in 16 us, up to 19 hours */

typedef struct {
    uint32_t at, ran, queued, task, waker;
} Event;

typedef struct {
    PyObject *code;
    int32_t lasti;
} Place;

/* An object that tasks wait on: a lock, a queue, a stream. */
typedef struct {
    PyObject *ref; /* a weak reference */
    uint32_t number;
} Seen;

struct Ring {
    Event *events;
    PyObject *name_object; /* called with (number, object, globals or None) of each, as often as NAMES_A_WINDOW says */
    uint64_t written, size, marked_at, window_began;
    Event *next, *end; /* where the next is written; the end of the room */
    uint32_t since_mark, described, most_described, limit, places_used;
    uint32_t objects_used, named;
    Seen seen[SEEN];
    Place places[MOST_CODES];
    uint16_t slots[2 * MOST_CODES];
};

static PyObject *str_get_coro, *str_when, *str_f_locals,
    *str_f_globals, *str_self, *str_sock, *str_h, *str_timeout_handle, *str_co_name, *str_get_when;

/* Signed in between: a conversion to unsigned takes five times as many instructions. */
static inline uint64_t units(double at) { return at <= 0.0 ? 0 : (uint64_t)(int64_t)(at * RING_UNITS); }

static uint32_t clipped(uint64_t value) { return value < LONGEST ? (uint32_t)value : LONGEST; }

static inline void put(Ring *ring, uint32_t at, uint32_t ran, uint32_t queued, uint32_t task, uint32_t waker) {
    Event *event = ring->next;
    ring->written++;
    ring->next = LIKELY(event + 1 != ring->end) ? event + 1 : ring->events;
    __builtin_prefetch((char *)event + 2 * LINE, 1); /* no line of the ring is in a cache when its turn comes */
    event->at = at;
    event->ran = ran;
    event->queued = queued;
    event->task = task;
    event->waker = waker;
}

static COLD void mark(Ring *ring, uint64_t now_units) {
    ring->since_mark = 0;
    ring->marked_at = now_units;
    put(ring, (uint32_t)now_units, 0, 0, (uint32_t)(now_units >> 32), 0);
}

/* `ran` with the kind, and `queued` with the loop, in the upper bits: so that all fits into registers. */
static void append_packed(Ring *ring, uint64_t at, uint32_t ran, uint32_t queued, uint32_t task, uint32_t waker) {
    /* What began long before the mark was a step that ran so long, with a mark of another loop or a viewer meanwhile. */
    if (UNLIKELY(++ring->since_mark >= MARK_EVERY || at > ring->marked_at + MARK_AFTER || at + MARK_AFTER < ring->marked_at))
        mark(ring, at);
    put(ring, (uint32_t)at, ran, queued, task, waker);
}

static inline void append(Ring *ring, int kind, int loop, uint64_t at, uint32_t ran, uint32_t queued, uint32_t task,
                          uint32_t waker) {
    append_packed(ring, at, ran | (uint32_t)kind << 28, queued | (uint32_t)loop << 28, task, waker);
}

/* What ran for `ran` after it had been ready for `queued`, either of which may be too long for its field. */
static inline void append_run(Ring *ring, int kind, int loop, uint64_t at, uint64_t ran, uint64_t queued, uint32_t task,
                              uint32_t waker) {
    if (UNLIKELY(ran >= LONGEST || (queued >= LONGEST && queued != NOT_KNOWN)))
        append(ring, TRACE_LONG, loop, at, 0, 0, (uint32_t)(ran >> COARSE), (uint32_t)(queued >> COARSE));
    append(ring, kind, loop, at, clipped(ran), queued == NOT_KNOWN ? NOT_KNOWN : clipped(queued), task, waker);
}

/* The number of an instruction of a code object; 0 where there are too many. Holds the code object. */
static uint32_t place_of(Ring *ring, PyObject *code, int lasti) {
    uint32_t slot, number;
    if (code == NULL || ring == NULL) /* it may have been switched off meanwhile */
        return 0;
    slot = (uint32_t)(((uintptr_t)code >> 4) * 31 + (uint32_t)lasti * 7) % (2 * MOST_CODES);
    while ((number = ring->slots[slot]) != 0) {
        if (ring->places[number].code == code && ring->places[number].lasti == lasti)
            return number;
        slot = (slot + 1) % (2 * MOST_CODES);
    }
    if (ring->places_used + 1 >= MOST_CODES)
        return 0;
    number = ++ring->places_used;
    Py_INCREF(code);
    ring->places[number].code = code;
    ring->places[number].lasti = lasti;
    ring->slots[slot] = (uint16_t)number;
    return number;
}

static int loop_of(LoopClock *clock) {
    int64_t number = clock->number;
    return number > 0 && number < 15 ? (int)number : 15;
}

/* Who makes something ready now: a kind, and the id of a task or 0. Called for every call_soon. */
static void find_waker(State *state, PyObject *loop, PyObject *callback, Waker *waker) {
    LoopClock *clock = (LoopClock *)state->last_record;
    PyObject *task, *made_ready, *record;
    waker->task = 0;
    waker->kind = TRACE_STEP_OUTSIDE;
    if (UNLIKELY(loop != state->last_loop || clock->traced == NULL))
        return;
    if (clock->running == 0) { /* a step of a task that had no record when it began to run */
        clock->running = -1;
        if (step_of(state, clock->traced, &task) != NO_STEP) {
            record = records_find(state->records, task);
            if (record != NULL && REFERENT(record) == task)
                clock->running = FIELDS(record)->id;
        }
    }
    if (clock->running < 0) {
        clock->woke = 1;
        waker->kind = clock->how;
        return;
    }
    waker->task = (uint32_t)clock->running;
    waker->kind = TRACE_STEP_TASK;
    if (Py_TYPE(callback) == state->first_step_type && step_of(state, callback, &made_ready) != NO_STEP &&
        step_of(state, clock->traced, &task) != NO_STEP)
        waker->kind = made_ready == task ? TRACE_STEP_SELF : TRACE_STEP_BORN;
}

static PyObject *attribute(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        put_off();
    return value;
}

/* The number of an object that a task waits on; 0 if it is unknown. Holds no reference to it. */
static uint32_t object_of(State *state, PyObject *object, PyObject *globals) {
    Ring *ring = state->ring;
    Seen *seen = &ring->seen[((uintptr_t)object >> 4) % SEEN];
    PyObject *old, *number, *result;
    if (seen->ref != NULL && REFERENT(seen->ref) == object)
        return seen->number;
    PyObject *ref = PyWeakref_NewRef(object, NULL);
    if (ref == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (state->ring != ring) { /* the collector may have run */
        Py_DECREF(ref);
        return 0;
    }
    old = seen->ref;
    seen->ref = ref;
    seen->number = 1 + ring->objects_used++ % ((1u << OBJECT_BITS) - 1);
    uint32_t given = seen->number;
    if (ring->named++ < (ring->most_described == WAITS_A_WINDOW ? NAMES_A_WINDOW : NAMES_TRACED)) {
        PyObject *name_object = ring->name_object;
        Py_INCREF(name_object);
        number = PyLong_FromUnsignedLong(given);
        result = number == NULL ? NULL : PyObject_CallFunctionObjArgs(name_object, number, object,
                                                                      globals == NULL ? Py_None : globals, NULL);
        if (result == NULL)
            put_off(); /* it catches and reports its own errors */
        Py_XDECREF(result);
        Py_XDECREF(number);
        Py_DECREF(name_object);
    }
    Py_XDECREF(old);
    return given;
}

/* An entry of the locals of a frame; a new reference. Only for frames of asyncio's own functions: to read locals keeps
 * them alive as long as the frame (until 3.12). */
static PyObject *local_of(PyObject *locals, PyObject *name) {
    PyObject *value = locals == NULL ? NULL : PyObject_GetItem(locals, name);
    if (value == NULL)
        put_off();
    return value;
}

static double number_of(PyObject *value) {
    double number = value != NULL && PyFloat_Check(value) ? PyFloat_AsDouble(value) : 0.0;
    Py_XDECREF(value);
    return number;
}

/* When the timer was due that ends a wait of a loop whose timers pass no hook (uvloop); 0.0 if no timer of asyncio's own
 * functions does. `locals`: of the function that waits. */
static double find_due(State *state, PyObject *locals) {
    PyObject *frame = (PyObject *)PyEval_GetFrame(), *code, *name, *timer = NULL, *owners;
    double due = 0.0;
    if (frame == NULL)
        return 0.0;
    Py_INCREF(frame);
    code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
    /* A function of the program's may have such a name, and its object a `when` that nobody else may call. */
    name = kind_of(state, code) > 0 ? attribute(code, str_co_name) : NULL;
    put_off();
    Py_DECREF(code);
    if (name != NULL && PyUnicode_Check(name)) {
        if (PyUnicode_CompareWithASCIIString(name, "_set_result_unless_cancelled") == 0)
            timer = local_of(locals, str_h);
        else if (PyUnicode_CompareWithASCIIString(name, "_release_waiter") == 0)
            timer = local_of(locals, str_timeout_handle);
        else if (PyUnicode_CompareWithASCIIString(name, "_on_timeout") == 0) {
            owners = attribute(frame, str_f_locals);
            timer = local_of(owners, str_self);
            Py_XDECREF(owners);
        }
    }
    if (timer != NULL) {
        PyObject *when = PyObject_CallMethodObjArgs(timer, str_get_when, NULL);
        if (when == NULL)
            put_off();
        due = number_of(when);
        Py_DECREF(timer);
    }
    Py_XDECREF(name);
    Py_DECREF(frame);
    return due;
}

enum { INNERMOST, USERS, PACKAGE, PLACES, FRAMEWORKS = PLACES, ALL };

/* Where a suspended task waits: its innermost frame, the innermost that is the user's own (else of an installed package,
 * else of a framework), the innermost of an installed package that is no framework, and the object it waits on. A compiled
 * coroutine of a framework (uvloop's) is the innermost: what it does is known by its name. */
static void find_wait(State *state, PyObject *task, uint32_t *numbers, uint32_t *object, double *due) {
    PyObject *awaitable = PyObject_CallMethodObjArgs(task, str_get_coro, NULL), *found[ALL] = {NULL, NULL, NULL, NULL};
    PyObject *codes[PLACES] = {NULL, NULL, NULL}, *globals = NULL, *locals = NULL;
    int depth, index, ends = 0;
    numbers[INNERMOST] = numbers[USERS] = numbers[PACKAGE] = *object = 0;
    if (awaitable == NULL)
        put_off();
    for (depth = 0; awaitable != NULL && depth < MOST_AWAITED && !ends; depth++) {
        PyObject *code, *compiled, *next = next_awaited(state, awaitable, &code, &compiled);
        int kind = code == NULL ? -1 : kind_of(state, code);
        int whose = kind == 0 ? (is_installed(state, code) == 0 ? USERS : PACKAGE) : kind == FRAMEWORK ? FRAMEWORKS : INNERMOST;
        if (code != NULL)
            put_off(); /* of both */
        ends = kind == FRAMEWORK && compiled != NULL;
        for (index = 0; code != NULL && index < ALL; index++)
            if (index == INNERMOST || index == whose) {
                Py_CLEAR(found[index]);
                if (compiled == NULL) {
                    Py_INCREF(awaitable);
                    found[index] = awaitable;
                } else if (index < PLACES)
                    numbers[index] = place_of(state->ring, code, -1);
            }
        Py_XDECREF(code);
        Py_XDECREF(compiled);
        Py_DECREF(awaitable);
        awaitable = next;
    }
    Py_XDECREF(awaitable);
    if (found[USERS] == NULL && numbers[USERS] == 0 && found[PACKAGE] == NULL && numbers[PACKAGE] == 0) {
        found[USERS] = found[FRAMEWORKS];
        found[FRAMEWORKS] = NULL;
    }
    Py_XDECREF(found[FRAMEWORKS]);
    for (index = INNERMOST; index < PLACES; index++) {
        PyObject *frame = found[index] == NULL ? NULL : frame_of_awaited(found[index]);
        if (frame != NULL) {
            codes[index] = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
            numbers[index] = place_of(state->ring, codes[index], PyFrame_GetLasti((PyFrameObject *)frame));
            if (index == INNERMOST && kind_of(state, codes[INNERMOST]) > 0)
                locals = attribute(frame, str_f_locals);
            put_off(); /* of kind_of */
            if (index != INNERMOST && globals == NULL)
                globals = attribute(frame, str_f_globals);
        }
        Py_XDECREF(frame);
        Py_XDECREF(found[index]);
    }
    if (locals != NULL) {
        PyObject *waited = local_of(locals, str_sock);
        if (waited == NULL)
            waited = local_of(locals, str_self);
        if (*due < 0.0)
            *due = find_due(state, locals);
        if (waited != NULL && state->ring != NULL)
            *object = object_of(state, waited, globals);
        Py_XDECREF(waited);
    }
    Py_XDECREF(locals);
    Py_XDECREF(globals);
    for (index = 0; index < PLACES; index++)
        Py_XDECREF(codes[index]);
    if (numbers[USERS] == 0)
        numbers[USERS] = numbers[PACKAGE];
}

/* The line that ends a wait: the innermost of the user's below the loop, else the innermost of all. */
static uint32_t find_waking_line(State *state) {
    PyFrameObject *frame = (PyFrameObject *)PyEval_GetFrame();
    uint32_t innermost = 0, number = 0;
    int depth;
    Py_XINCREF((PyObject *)frame);
    for (depth = 0; frame != NULL && depth < MOST_FRAMES; depth++) {
        PyObject *code = (PyObject *)PyFrame_GetCode(frame);
        PyFrameObject *back;
        int kind = kind_of(state, code);
        if (kind < 0)
            put_off();
        if (kind == BOUNDARY || kind == RUNNER || kind < 0) {
            Py_DECREF(code);
            break;
        }
        if (kind == 0 || depth == 0)
            number = place_of(state->ring, code, PyFrame_GetLasti(frame));
        Py_DECREF(code);
        if (depth == 0)
            innermost = number;
        if (kind == 0)
            break;
        back = PyFrame_GetBack(frame);
        Py_DECREF((PyObject *)frame);
        frame = back;
        number = 0;
    }
    Py_XDECREF((PyObject *)frame);
    return number != 0 ? number : innermost;
}

/* A task is made ready that was suspended: if it waited for long, on what, where, and which line ends it. Never raises. */
static void describe_wait(State *state, PyObject *task, Waker *waker, double at) {
    Ring *ring = state->ring;
    PyObject *record = records_find(state->records, task);
    uint64_t moment = units(at);
    uint32_t since, rested, places[PLACES], object, line, number;
    double due = waker->kind == TRACE_STEP_OUTSIDE ? -1.0 : 0.0; /* -1: to be found */
    int loop;
    if (record == NULL || REFERENT(record) != task)
        return;
    since = FIELDS(record)->idle_since;
    if (since == 0)
        return;
    rested = (uint32_t)(moment >> COARSE) - since;
    if (UNLIKELY(state->waits != NULL))
        wait_note(state, record, moment, rested);
    if (LIKELY(rested < LONG_WAIT >> COARSE))
        return;
    if (moment - ring->window_began > WINDOW) {
        if (ring->described > ring->most_described && ring->limit < LONGEST_LIMIT)
            ring->limit *= 2;
        else if (ring->described < ring->most_described / 4 && ring->limit > LONG_WAIT)
            ring->limit /= 2;
        ring->window_began = moment;
        ring->described = ring->named = 0;
    }
    if (rested < ring->limit >> COARSE || ++ring->described > ring->most_described)
        return;
    number = (uint32_t)FIELDS(record)->id; /* now: what follows may run code of the program's */
    loop = FIELDS(record)->loop == NULL ? 15 : loop_of((LoopClock *)FIELDS(record)->loop);
    find_wait(state, task, places, &object, &due);
    line = find_waking_line(state);
    if (state->ring != ring)
        return;
    if (due > 0.0 && at - due < 600.0) { /* as if the timer had passed a hook */
        waker->kind = TRACE_STEP_TIMER;
        append_run(ring, TRACE_CALL_TIMER, loop, moment, 0, due < at ? moment - units(due) : 0, 0, 0);
    }
    append(ring, TRACE_WAIT, loop, moment, places[INNERMOST] | places[PACKAGE] << PLACE_BITS, places[USERS], number,
           line | object << PLACE_BITS);
}

/* Something was made ready on a loop, by `call_soon` with `count` arguments, the loop and the callback included. */
void trace_ready(State *state, PyObject *loop, PyObject *callback, Py_ssize_t count, Waker *waker, double at) {
    find_waker(state, loop, callback, waker);
    if (count == 3 && Py_TYPE(callback) == &PyCFunction_Type && PyCFunction_GetFunction(callback) == state->wakeup &&
        state->wakeup != NULL)
        describe_wait(state, PyCFunction_GetSelf(callback), waker, at);
}

/* A step has ended. */
void trace_step(State *state, LoopClock *clock, Fields *fields, double ready, double started, double ended) {
    uint64_t from = units(started), until = units(ended);
    fields->idle_since = coarse(until);
    append_run(state->ring, clock->waker.kind ? clock->waker.kind : TRACE_STEP_OUTSIDE, loop_of(clock), from, until - from,
               ready != 0.0 ? from - units(ready) : NOT_KNOWN, (uint32_t)fields->id, clock->waker.task);
}

static uint32_t code_of_callback(State *state, PyObject *callback) {
    PyObject *function = callback, *code;
    if (Py_TYPE(callback) == &PyMethod_Type && PyMethod_Function != NULL)
        function = PyMethod_Function(callback);
    if (function == NULL || (void *)&PyFunction_Type == NULL || PyFunction_GetCode == NULL || Py_TYPE(function) != &PyFunction_Type)
        return 0;
    code = PyFunction_GetCode(function); /* borrowed */
    return place_of(state->ring, code, -1);
}

/* When a timer was due; 0.0 where that cannot be. */
static double due_of(PyObject *handle, double started) {
    PyObject *value = handle == NULL ? NULL : attribute(handle, str_when);
    double when = value != NULL && PyFloat_Check(value) ? PyFloat_AsDouble(value) : 0.0;
    Py_XDECREF(value);
    return when > started ? started : started - when < 600.0 ? when : 0.0;
}

/* A plain callback has ended that took long or made something ready. Never raises. */
void trace_callback(State *state, LoopClock *clock, PyObject *callback, double ready, double started, double ended) {
    uint64_t from = units(started);
    int how = clock->how;
    uint32_t waker = clock->waker.task, number = code_of_callback(state, callback);
    if (how == TRACE_STEP_TIMER)
        ready = due_of(clock->handle, started);
    append_run(state->ring, how == TRACE_STEP_TIMER ? TRACE_CALL_TIMER : how == TRACE_STEP_SOON ? TRACE_CALL_SOON : TRACE_CALL_HANDLE,
               loop_of(clock), from, units(ended) - from, ready != 0.0 ? from - units(ready) : NOT_KNOWN, number, waker);
}

/* The birth of a task. `lived`: in the bits above both places, how long, plus 1; 0: that comes later. */
static void append_birth(State *state, Fields *fields, PyObject *coro, uint64_t lived) {
    PyObject *code = Py_TYPE(coro) == &PyCoro_Type ? code_of(state, coro) : NULL;
    uint32_t made = place_of(state->ring, fields->code, fields->lasti), name = place_of(state->ring, code, -1);
    if (code == NULL)
        put_off();
    Py_XDECREF(code);
    append(state->ring, TRACE_BORN, fields->loop == NULL ? 15 : loop_of((LoopClock *)fields->loop), units(fields->born),
           made | ((uint32_t)lived << PLACE_BITS & ABOVE_PLACE), name | (uint32_t)(lived >> LIFE_BITS) << PLACE_BITS,
           (uint32_t)fields->id, (uint32_t)fields->parent);
}

/* A task was made. */
void trace_born(State *state, Fields *fields, PyObject *coro) { append_birth(state, fields, coro, 0); }

/* A task that came to a result in its first step. */
void trace_passed(State *state, Fields *fields, PyObject *coro) {
    uint64_t lived = units(fields->ended) - units(fields->born) + 1;
    append_birth(state, fields, coro, LIKELY(lived < LONGEST_PASSED) ? lived : 0);
    if (UNLIKELY(lived >= LONGEST_PASSED))
        trace_end(state, fields);
}

/* A task has ended. */
void trace_end(State *state, Fields *fields) {
    append(state->ring, TRACE_END, fields->loop == NULL ? 15 : loop_of((LoopClock *)fields->loop), units(fields->ended),
           fields->outcome, 0, (uint32_t)fields->id, 0);
}

/* Garbage was collected. */
void trace_collection(State *state, double began, double ended, long generation) {
    uint64_t from = units(began), took = units(ended) - from;
    if (state->ring != NULL && took >= LONG_COLLECTION)
        append(state->ring, TRACE_GC, 0, from, clipped(took), 0, generation > 0 ? (uint32_t)generation : 0, 0);
}

/* Control, from Python */

void trace_free(State *state) {
    Ring *ring = state->ring;
    uint32_t index;
    state->ring = NULL;
    if (ring == NULL)
        return;
    for (index = 1; index <= ring->places_used; index++)
        Py_DECREF(ring->places[index].code);
    for (index = 0; index < SEEN; index++)
        Py_XDECREF(ring->seen[index].ref);
    Py_DECREF(ring->name_object);
    free(ring->events);
    free(ring);
}

static int names_setup(void) {
    static const struct {
        PyObject **at;
        const char *text;
    } all[] = {
        {&str_get_coro, "get_coro"}, {&str_when, "_when"},
        {&str_f_locals, "f_locals"}, {&str_f_globals, "f_globals"}, {&str_self, "self"},
        {&str_sock, "sock"},         {&str_h, "h"},               {&str_timeout_handle, "timeout_handle"},
        {&str_co_name, "co_name"},   {&str_get_when, "when"},
    };
    size_t index;
    for (index = 0; index < sizeof(all) / sizeof(all[0]); index++)
        if (*all[index].at == NULL && (*all[index].at = PyUnicode_InternFromString(all[index].text)) == NULL)
            return -1;
    return 0;
}

/* trace_start(bytes, name_object): begins to keep events; False without memory for them, or where it cannot be done
 * here. `name_object(number, object, globals or None)` is called for objects that tasks wait on. */
PyObject *trace_start(PyObject *op, PyObject *args) {
    State *state = (State *)op;
    Py_ssize_t bytes;
    PyObject *name_object;
    Ring *ring;
    if (!PyArg_ParseTuple(args, "nO", &bytes, &name_object))
        return NULL;
    if ((void *)&PyCoro_Type == NULL || (void *)&PyFrame_Type == NULL)
        Py_RETURN_FALSE;
    if (state->ring != NULL)
        Py_RETURN_TRUE;
    if (names_setup() < 0)
        return NULL;
    ring = calloc(1, sizeof(Ring));
    if (ring == NULL)
        Py_RETURN_FALSE;
    ring->size = (uint64_t)bytes / sizeof(Event) < 2 * MARK_EVERY ? 2 * MARK_EVERY : (uint64_t)bytes / sizeof(Event);
    ring->events = calloc((size_t)ring->size, sizeof(Event)); /* pages that nothing was written to yet cost nothing */
    if (ring->events == NULL) {
        free(ring);
        Py_RETURN_FALSE;
    }
    ring->next = ring->events;
    ring->end = ring->events + ring->size;
    Py_INCREF(name_object);
    ring->name_object = name_object;
    ring->limit = LONG_WAIT;
    ring->most_described = WAITS_A_WINDOW;
    mark(ring, units(now()));
    state->ring = ring;
    Py_RETURN_TRUE;
}

/* trace_stop(): forgets it all. */
PyObject *trace_stop(PyObject *op, PyObject *unused) {
    trace_free((State *)op);
    Py_RETURN_NONE;
}

/* trace_detail(on): whether a viewer traces, and more waits are described. */
PyObject *trace_detail(PyObject *op, PyObject *on) {
    Ring *ring = ((State *)op)->ring;
    if (ring != NULL) {
        ring->most_described = on == Py_True ? WAITS_TRACED : WAITS_A_WINDOW;
        ring->limit = LONG_WAIT;
    }
    Py_RETURN_NONE;
}

/* trace_mark(): where the ring is now, after a mark: a reader that begins here misses nothing that follows. */
PyObject *trace_mark(PyObject *op, PyObject *unused) {
    State *state = (State *)op;
    uint64_t position;
    if (state->ring == NULL)
        return PyLong_FromLong(0);
    position = state->ring->written;
    mark(state->ring, units(now()));
    return PyLong_FromUnsignedLongLong(position);
}

/* trace_read(position, most): (events as bytes, the position of the first, the position to read on from, how many were
 * overwritten before they were read). */
PyObject *trace_read(PyObject *op, PyObject *args) {
    State *state = (State *)op;
    Ring *ring = state->ring;
    unsigned long long position, most;
    uint64_t oldest, count, first;
    PyObject *bytes;
    char *into;
    if (!PyArg_ParseTuple(args, "KK", &position, &most))
        return NULL;
    if (ring == NULL)
        return Py_BuildValue("(y#KKK)", "", (Py_ssize_t)0, 0ULL, 0ULL, 0ULL);
    oldest = ring->written > ring->size ? ring->written - ring->size : 0;
    first = position < oldest ? oldest : position > ring->written ? ring->written : position;
    count = ring->written - first < most ? ring->written - first : most;
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(Event)));
    if (bytes == NULL)
        return NULL;
    into = PyBytes_AsString(bytes);
    if (count) {
        uint64_t start = first % ring->size, whole = ring->size - start < count ? ring->size - start : count;
        memcpy(into, &ring->events[start], whole * sizeof(Event));
        memcpy(into + whole * sizeof(Event), ring->events, (count - whole) * sizeof(Event));
    }
    return Py_BuildValue("(NKKK)", bytes, (unsigned long long)first, (unsigned long long)(first + count),
                         (unsigned long long)(first > position ? first - position : 0));
}

/* trace_places(from): the code objects and instructions that have numbers from there on. */
PyObject *trace_places(PyObject *op, PyObject *number) {
    State *state = (State *)op;
    Ring *ring = state->ring;
    long index = PyLong_AsLong(number);
    PyObject *list;
    if (index == -1 && PyErr_Occurred())
        return NULL;
    list = PyList_New(0);
    for (index = index < 1 ? 1 : index; list != NULL && ring != NULL && index <= (long)ring->places_used; index++) {
        PyObject *place = Py_BuildValue("(Oi)", ring->places[index].code, (int)ring->places[index].lasti);
        if (place == NULL || PyList_Append(list, place) < 0)
            Py_CLEAR(list);
        Py_XDECREF(place);
        if (state->ring != ring) /* the collector may have run */
            break;
    }
    return list;
}

/* trace_stats(): events written, room for events. */
PyObject *trace_stats(PyObject *op, PyObject *unused) {
    Ring *ring = ((State *)op)->ring;
    if (ring == NULL)
        return Py_BuildValue("(KK)", 0ULL, 0ULL);
    return Py_BuildValue("(KK)", (unsigned long long)ring->written, (unsigned long long)ring->size);
}

/* trace_refers(object): whether the ring has a weak reference to it, which it may share with the program. */
PyObject *trace_refers(PyObject *op, PyObject *object) {
    Ring *ring = ((State *)op)->ring;
    Seen *seen = ring == NULL ? NULL : &ring->seen[((uintptr_t)object >> 4) % SEEN];
    return PyBool_FromLong(seen != NULL && seen->ref != NULL && REFERENT(seen->ref) == object);
}
