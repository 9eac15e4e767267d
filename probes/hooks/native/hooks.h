/* Declarations shared by the files of the native module. births_in_python.py and
 * steps_in_python.py do the same in Python; both pass the same tests.
 *
 * record.c       TaskRecord, the C part of LoopRecord, and SiteCounts
 * group.c        tasks of one coroutine and label, or of one creation site, counted at birth and end
 * noting.c       a dictionary that notes which key the current task looked up: the status of its response
 * collector.c    how long collections of garbage take
 * table.c        records by task, the queue of changed records, counts of short-lived tasks by site
 * hook.c         the Hook type, which replaces a function, and handling of a hook that raises
 * create_task.c  the hooks of create_task: records of tasks, their creation sites and parents
 * new_task.c     the hook of Task.__init__: tasks that are made without create_task
 * call_soon.c    the hooks of call_soon: when a callback was made ready, who cancelled what it waited for
 * step.c         the hook of Handle._run: steps and ends of tasks
 * reraise.c      an exception of a callback, raised again in asyncio's own code
 * flame.c        samples of what the threads of loops run, read without the GIL (sampler.h)
 * flame_memory.c the memory of this process, read through the kernel
 * flame_layout.c where this interpreter keeps what the sampler reads
 * gil.c          which thread has the GIL, sampled without it
 * rest.c         the watchdog's pause while all loops rest
 * reading.c      scopes in which the probe's threads read: the program is the one that lets go of its objects
 * stacks.c       await stacks, stacks of threads and states of tasks, read in one piece
 * trace.c       the step ring: what ran, when it had become ready, who made it ready
 * module.c       the state, its attributes, and learning where asyncio keeps what
 *
 * The stable ABI of 3.11: one file for every CPython from there on. Six functions are used beyond it, which every
 * CPython from 3.11 to 3.15 exports with the same signature; they are weak, and without one the module says so and
 * Python hooks are used. Where asyncio keeps a slot is found by looking for a known pointer, never assumed.
 */
#ifndef LOOPTOP_HOT_H
#define LOOPTOP_HOT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdint.h>

#ifdef Py_GIL_DISABLED
#error "the native hooks rely on the GIL; free-threaded builds use the Python hooks"
#endif

#define BEYOND extern __attribute__((weak))
BEYOND PyObject *PyObject_Vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames);
BEYOND PyObject *PyVectorcall_Call(PyObject *callable, PyObject *tuple, PyObject *dict);
BEYOND PyObject *PyMethod_New(PyObject *function, PyObject *self);
BEYOND PyObject *PyMethod_Self(PyObject *method);
BEYOND PyFrameObject *PyFrame_GetBack(PyFrameObject *frame);
BEYOND int PyFrame_GetLasti(PyFrameObject *frame);
BEYOND PyObject *PyContext_CopyCurrent(void);
BEYOND int PyContext_Enter(PyObject *context);
BEYOND int PyContext_Exit(PyObject *context);
BEYOND PyTypeObject PyContext_Type;
BEYOND PyTypeObject PyMethod_Type;
/* To save work only. */
BEYOND PyObject *PyFrame_GetGenerator(PyFrameObject *frame);
/* For the step ring only, which does without where one is missing. */
BEYOND PyObject *PyMethod_Function(PyObject *method);
BEYOND PyObject *PyFunction_GetCode(PyObject *function);
BEYOND PyTypeObject PyCoro_Type, PyFrame_Type, PyFunction_Type, PyGen_Type;
/* For labels that are read from a context variable; they do without where it is missing. */
BEYOND int PyContextVar_Get(PyObject *variable, PyObject *fallback, PyObject **value);

typedef PyObject *(*vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
#define OFFSET_FLAG ((size_t)1 << (8 * sizeof(size_t) - 1))
#define NARGS(nargsf) ((Py_ssize_t)((nargsf) & ~OFFSET_FLAG))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* What is rarely called: the compiler then moves the ways that lead to it out of the way. A request runs nearly each
 * instruction once, so what the hooks cost follows how many lines of the cache their code takes. */
#define COLD __attribute__((cold))
COLD void PyErr_Clear(void);
COLD void PyErr_Fetch(PyObject **type, PyObject **value, PyObject **traceback);
COLD void PyErr_SetString(PyObject *type, const char *text);
COLD int PyErr_ExceptionMatches(PyObject *type);
COLD PyObject *PyErr_NoMemory(void);
COLD void _Py_Dealloc(PyObject *object);

/* None, True, small integers and interned strings are immortal from 3.12 on: the lower half of their count is negative, and
 * the interpreter does not count who refers to them. What the headers of 3.11 have counts them all the same, which ends that
 * for the whole program: each use of None in its own code was then counted, too. */
#if PY_VERSION_HEX < 0x030C0000 && !defined(Py_REF_DEBUG)
static inline void count_reference(PyObject *object) {
    if ((int32_t)object->ob_refcnt >= 0)
        object->ob_refcnt++;
}
static inline void drop_reference(PyObject *object) {
    if ((int32_t)object->ob_refcnt >= 0 && --object->ob_refcnt == 0)
        _Py_Dealloc(object);
}
static inline void count_some(PyObject *object) {
    if (object != NULL)
        count_reference(object);
}
static inline void drop_some(PyObject *object) {
    if (object != NULL)
        drop_reference(object);
}
static inline PyObject *counted(PyObject *object) {
    count_reference(object);
    return object;
}
#undef Py_INCREF
#undef Py_DECREF
#undef Py_XINCREF
#undef Py_XDECREF
#undef Py_NewRef
#define Py_INCREF(object) count_reference((PyObject *)(object))
#define Py_DECREF(object) drop_reference((PyObject *)(object))
#define Py_XINCREF(object) count_some((PyObject *)(object))
#define Py_XDECREF(object) drop_some((PyObject *)(object))
#define Py_NewRef(object) counted(object)
#endif

enum { DONE = 3, CANCELLED = 4, FAILED = 5 }; /* indices of protocol.STATES; install.py checks them */

/* What a record rarely has; made when the first of them is set. */
typedef struct {
    PyObject *coro, *failure, *histogram, *label, *name, *origin, *seen, *source;
} Extra;

/* The fields of a TaskRecord, behind those of the weak reference that it is. Seconds of CLOCK_MONOTONIC; NAN: None.
 * With the collector's words 208 bytes. Not more: its places in two tables take up to 40, and 250 are allowed. Not less:
 * Task and coroutine have 192 (3.11, 3.12), and were a record of that size, the allocator would give it the place of a task that has ended; the next task would lie elsewhere, and
 * nothing tell that the record of the dead one can go (empty tasks without a viewer: 1.11 instead of 1.03). */
typedef struct {
    PyObject *code;
    PyObject *loop;
    Extra *extra;
    PyObject *group; /* a GroupCounts; NULL while nothing is counted */
    int64_t key; /* address of the task */
    int64_t id;
    int64_t parent;
    int64_t steps;
    int64_t steps_reported;
    double born, busy, ended, scheduled;
    float max_step;
    uint32_t counted; /* see moment_of in record.c; 0: from its birth on */
    int32_t lasti;
    int32_t site;
    unsigned char outcome, dirty, eager, predates_probe;
    uint32_t idle_since; /* the end of its last step by the clock of the step ring; 0: none */
} Fields;

extern Py_ssize_t fields_offset; /* of Fields in a record */
extern Py_ssize_t referent_offset; /* of the pointer to the task in a weak reference */
#define FIELDS(record) ((Fields *)((char *)(record) + fields_offset))
#define REFERENT(record) (*(PyObject **)((char *)(record) + referent_offset))

/* What made something ready: a kind of trace.c, and the id of a task or 0. */
typedef struct {
    uint32_t task, kind;
} Waker;

typedef struct Ring Ring;
typedef struct Waits Waits; /* see waits.c */
typedef struct Litter Litter; /* see reading.c */

#define PARTS 16 /* of an octave: the middle of a bucket is within 3.1 % of everything in it */
#define OCTAVES 38

/* Durations, counted in logarithmic buckets. */
typedef struct {
    uint32_t *octaves[OCTAVES]; /* NULL: nothing counted there */
} Distribution;

/* The part of a LoopRecord that every callback touches. */
typedef struct {
    PyObject_HEAD
    double started;
    PyObject *record; /* of the task whose step began at `started`, which is set after it; borrowed; NULL: none */
    double busy, nested;
    int64_t steps;
    char followed; /* asyncio's own code runs the loop, and says when it stops */
    /* For the step ring: */
    char how, woke; /* what kind of handle runs now; whether it has made something ready */
    Waker waker; /* of what runs now */
    PyObject *traced, *handle; /* that run now, borrowed; NULL: none, or the ring is off */
    int64_t running; /* the id of the task that runs now; 0: to be looked up; -1: none */
    int64_t number; /* of the loop */
    Litter *litter; /* what its thread is to let go of; NULL: nothing */
    double inner; /* time of callbacks that ran inside the one that runs, of a loop that it runs itself (nest_asyncio) */
    int inside; /* how many run: 2 inside of such a one */
    /* The innermost coroutine whose task starts eagerly now and has no record yet, since when, and what its label is read
     * from, which cannot be found while it runs; NULL: none. */
    PyObject *starting, *starting_source;
    double starting_since;
} LoopClock;

typedef struct {
    PyObject_HEAD
    int64_t born, ended, failed, cancelled, steps, unreported;
    int64_t flood; /* address of the exception type whose failures here are only counted; 0: none */
    double busy;
    int32_t site;
} SiteCounts;

typedef struct {
    PyObject_HEAD
    PyTypeObject *holds;
    size_t by; /* where in its fields a record has its key: `key` or `id` */
    uint64_t *entries; /* see table.c */
    Py_ssize_t used, size; /* size: a power of two */
    Py_ssize_t next; /* where `take` goes on */
    int shift;
} Records;

typedef struct {
    PyObject_HEAD
    PyObject **ring;
    Py_ssize_t first, used, size, most;
} Changed;

typedef struct {
    PyObject *code; /* held: its address says which site it is */
    int32_t lasti;
    SiteCounts *counts;
} SiteEntry;

typedef struct {
    PyObject_HEAD
    PyTypeObject *holds;
    SiteEntry *entries;
    Py_ssize_t used, size;
} SiteAggregates;

#define KINDS 256 /* of code objects, and of creation sites that depend on caller and coroutine, kept in tables */
#define KIND_PROBES 4 /* how many places are looked at: with one, two hot code objects often had the same */
#define INSTALLED 8 /* added to the kind of a file of an installed package */
typedef struct {
    PyObject *code;
    int kind, installed;
} Kind;
enum { BOUNDARY = 2, RUNNER = 3, FRAMEWORK = 4 }; /* sites.BOUNDARY, …; install.py checks them */

/* The creation site of tasks that no line of the user's makes: a server's task for each request. */
typedef struct {
    PyObject *caller, *made, *code;
    int at, lasti;
} Site;

#define GROUPS 512 /* in the cache of those by code, and how many places are looked at */
#define GROUP_PROBES 4

/* The group of the tasks that one instruction makes. */
typedef struct {
    PyObject *code, *group; /* code: NULL for no line of anybody's */
    int32_t lasti;
} SiteGroup;

#define SPARE 64
#define GENERATIONS 3
#define PAUSES 64 /* the newest of LONG_PAUSE or more */

typedef struct {
    double began, ended;
} Pause;

/* Slots of asyncio's Handle. */
enum { CALLBACK, ARGS, CANCEL, LOOP, SOURCE, REPR, CONTEXT, SLOTS };

typedef struct State {
    PyObject_HEAD
    PyTypeObject *record_type, *clock_type, *counts_type, *hook_type, *step_type, *reraising_type; /* ours */
    PyTypeObject *timed_type; /* our subclass of asyncio's Handle */
    PyTypeObject *handle_type, *timer_type, *task_type, *future_type, *first_step_type, *deque_type; /* theirs */
    Py_ssize_t slots[SLOTS];
    Py_ssize_t ready_offset, first_step_offset, code_offset; /* of the code in a coroutine; 0: not known */
    PyTypeObject *code_type;
    PyObject *context_names; /* the last names of keywords that were equal to ("context",), but another object */
    newfunc task_new;
    initproc task_init;
    PyCFunction get_coro, future_done, result;
    PyObject *loop_getter, *exception_getter, *waiter_getter; /* descriptors of Task; NULL: not known */
    getter exception_of; /* the function of one of them; NULL: not known */
    PyCFunction done, cancelled, future_cancelled, append, wakeup; /* of a task, of a deque; the callback of all steps but the first */
    Records *records;
    Changed *changed;
    SiteAggregates *site_aggregates;
    PyObject *python_step; /* the function of `_PyTask`; NULL: not known */
    PyObject *making; /* the coroutine whose task hooks in Python are making: they register it */
    PyObject *loops, *last_loop, *last_record, *last_keywords, *one; /* last_loop is borrowed: it is a key of `loops` */
    PyObject *current_tasks, *current_task, *tasks_module_dict;
    PyObject *on_loop, *on_slow, *on_error, *on_cancel, *adopt, *report_end, *kind_of, *site_of, *stack_of;
    PyObject *coroutine_type, *on_group, *on_source, *on_label, *on_status;
    PyObject *label_variable, *on_seen; /* a context variable that labels are read from, after each step; NULL: none */
    PyObject *later, *on_later; /* the source of a task whose label is looked for after each step; what looks */
    traverseproc coroutine_traverse;
    PyTypeObject *group_type;
    PyObject *groups[GROUPS];
    PyObject *on_site_group;
    SiteGroup site_groups[GROUPS];
    Kind kinds[KINDS];
    Site sites[KINDS];
    int64_t last_id, lost;
    PyThread_type_lock alarm; /* released to end a rest of the watchdog */
    int resting; /* see rest.c */
    int64_t rest_ends;
    double slow_threshold;
    int origin_depth, named, most_named;
    Ring *ring; /* NULL: steps are not recorded */
    Waits *waits; /* NULL: nobody asks where tasks wait */
    PyObject **collector_slot, *programs_callbacks, *own_callbacks; /* see collector.c; NULL: it is not timed */
    double collection_began, collecting[GENERATIONS], longest_collection; /* seconds in all; the longest since the last look */
    Distribution collections[GENERATIONS];
    Pause pauses[PAUSES];
    unsigned last_pause;
    PyObject *spare_steps[SPARE]; /* memory of objects of call_soon.c */
    int spare;
    int steps_of_others; /* objects of call_soon.c that a loop has: those that wait to run, and those that run */
    unsigned replaced; /* entries of `kinds` and `sites` */
    char watching, closed; /* closed: the probe has left, and the tables stay empty: no collector looks into them */
} State;

#define SLOT(handle, state, which) (*(PyObject **)((char *)(handle) + (state)->slots[which]))

typedef struct {
    PyObject_HEAD
    vectorcall call;
    State *state;
    PyObject *original, *fallback, *dict, *weakrefs;
    int kind; /* of RUN, … */
    char asyncios; /* the original is asyncio's own */
} Hook;

enum { RUN, CALL_SOON, FOREIGN_CALL_SOON, CREATE_TASK, CREATE_TASK_KWARGS, FOREIGN_CREATE_TASK };

/* Of this module only, so that no call and no access goes through a table. */
#pragma GCC visibility push(hidden)

/* record.c */
extern PyType_Spec record_spec, clock_spec, counts_spec;
int record_setup(PyObject **base);
PyObject *record_new(State *state, PyObject *task);
void record_start_counting(PyObject *record, double counted);
int record_set_source(PyObject *record, PyObject *source);
int record_set_seen(PyObject *record, PyObject *seen);
int record_is_of(PyObject *record, PyObject *task);
PyObject *start_counting(PyObject *module, PyObject *record);

/* group.c */
extern PyType_Spec group_spec;
extern const size_t group_number_offset; /* of the number of a group in it */
int group_prepare(State *state, PyObject *coro, PyObject **group, PyObject **source);
PyObject *group_keepable(PyObject *group, PyObject *source);
int group_pass(State *state, PyObject *group, PyObject *source, PyObject *task, Fields *fields);
int group_join(PyObject *record, PyObject *group, PyObject *source);
int group_enter(State *state, PyObject *record, PyObject *coro);
int group_leave(State *state, PyObject *record);
void group_drop(PyObject *record);
void groups_forget(State *state);
PyObject *learn_groups(PyObject *state, PyObject *args);
PyObject *enter_group(PyObject *state, PyObject *args);
PyObject *leave_group(PyObject *state, PyObject *record);
PyObject *watch_variable(PyObject *state, PyObject *args);
PyObject *watch_later(PyObject *state, PyObject *args);
COLD int group_look_again(State *state, PyObject *record);
COLD int group_see(State *state, PyObject *record, PyObject *seen);
PyObject *forget_groups(PyObject *state, PyObject *unused);
int group_notes_in(PyObject *record, PyObject *statuses);
int distribution_add(Distribution *self, double seconds);
PyObject *distribution_list(const Distribution *self);
void distribution_free(Distribution *self);

/* noting.c */
extern PyType_Spec noting_spec;
int noting_setup(void);

/* collector.c */
PyObject *time_collections(PyObject *state, PyObject *module);
PyObject *leave_collections(PyObject *state, PyObject *unused);
PyObject *take_collections(PyObject *state, PyObject *unused);
PyObject *collection_pauses(PyObject *state, PyObject *unused);
PyObject *collection_times(PyObject *state, PyObject *unused);

/* table.c */
extern PyType_Spec records_spec, changed_spec, aggregates_spec;
PyObject *records_find(Records *self, PyObject *task); /* borrowed */
int records_put(Records *self, PyObject *record);
void records_remove(Records *self, int64_t key);
int changed_append(Changed *self, PyObject *record); /* 0: full; -1: no memory */
SiteCounts *aggregates_find(SiteAggregates *self, PyObject *code, int32_t lasti);
void counts_add(SiteCounts *self, Fields *fields);

/* step.c */
enum { NO_STEP, FIRST_STEP, STEP };
/* What a callback that runs is to its task. */
typedef struct {
    PyObject *task, *record; /* borrowed from the callback; a reference, or NULL */
    int step;
} Begun;
double now(void);
int step_of(State *state, PyObject *callback, PyObject **task);
int ask_task(State *state, PyObject *task, PyCFunction function, PyObject *name);
int add_changed(State *state, PyObject *record);
int finish(State *state, PyObject *record, PyObject *task, double at, PyObject *coro);
int account_step(State *state, PyObject *loop, PyObject *callback, Begun *begun, PyObject *seen, double ready,
                 double started, double elapsed);
PyObject *see_label(State *state);
PyObject *run(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names);

/* reraise.c */
extern PyType_Spec reraising_spec;
COLD PyObject *raise_in_asyncios(Hook *hook, PyObject *handle, PyObject *arguments);

/* call_soon.c */
extern PyType_Spec step_spec;
void steps_free(State *state);
PyObject *call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names);
PyObject *foreign_call_soon(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names);

/* trace.c */
enum {
    TRACE_MARK, TRACE_STEP_TASK, TRACE_STEP_SELF, TRACE_STEP_BORN, TRACE_STEP_TIMER, TRACE_STEP_SOON,
    TRACE_STEP_HANDLE, TRACE_STEP_OUTSIDE, TRACE_CALL_TIMER, TRACE_CALL_SOON, TRACE_CALL_HANDLE, TRACE_WAIT,
    TRACE_BORN, TRACE_END, TRACE_GC, TRACE_LONG
};
#define LONG_CALLBACK 50e-6
#define RING_UNITS 4e6 /* a second */
#define COARSE 6       /* quarters of a microsecond, shifted by this, are 16 us */
/* A moment for `idle_since`, which would be ambiguous after 18 minutes in quarters of a microsecond; never 0. */
static inline uint32_t coarse(uint64_t moment) {
    uint32_t low = (uint32_t)(moment >> COARSE);
    return low ? low : 1;
}
#define WAKER(handle, state) ((Waker *)((char *)(handle) + (state)->ready_offset + sizeof(double)))
void trace_ready(State *state, PyObject *loop, PyObject *callback, Py_ssize_t count, Waker *waker, double at);
void trace_step(State *state, LoopClock *clock, Fields *fields, double ready, double started, double ended);
void trace_callback(State *state, LoopClock *clock, PyObject *callback, double ready, double started, double ended);
void trace_born(State *state, Fields *fields, PyObject *coro);
void trace_passed(State *state, Fields *fields, PyObject *coro);
void trace_end(State *state, Fields *fields);
void trace_collection(State *state, double began, double ended, long generation);
void trace_free(State *state);
PyObject *trace_start(PyObject *op, PyObject *args);
PyObject *trace_stop(PyObject *op, PyObject *unused);
PyObject *trace_detail(PyObject *op, PyObject *on);
PyObject *trace_mark(PyObject *op, PyObject *unused);
PyObject *trace_read(PyObject *op, PyObject *args);
PyObject *trace_places(PyObject *op, PyObject *number);
PyObject *trace_stats(PyObject *op, PyObject *unused);
PyObject *trace_refers(PyObject *op, PyObject *object);

/* waits.c */
void wait_note(State *state, PyObject *record, uint64_t at, uint32_t rested);
void waits_free(State *state);
PyObject *waits_start(PyObject *op, PyObject *unused);
PyObject *waits_stop(PyObject *op, PyObject *unused);
PyObject *waits_take(PyObject *op, PyObject *unused);
PyObject *waits_stack(PyObject *op, PyObject *number);

/* What runs now, noted for what it makes ready. */
static inline void trace_begin(LoopClock *clock, const Begun *begun, PyObject *callback, PyObject *handle, int how,
                               const Waker *waker) {
    clock->traced = callback;
    clock->handle = handle;
    clock->running = begun->record != NULL ? FIELDS(begun->record)->id : begun->step == NO_STEP ? -1 : 0;
    clock->woke = 0;
    clock->how = (char)how;
    clock->waker = waker == NULL ? (Waker){0, 0} : *waker;
}

/* What is set for the callback that runs, for one that runs its loop itself (nest_asyncio): others set it in there. */
typedef struct {
    PyObject *traced, *handle, *record;
    int64_t running;
    Waker waker;
    double nested, inner;
    int inside; /* 0: there is none, and the rest is not set */
    char how, woke;
} Outer;

static inline Outer callback_begins(LoopClock *clock) {
    Outer outer;
    outer.inside = clock->inside++;
    if (UNLIKELY(outer.inside)) {
        outer.traced = clock->traced;
        outer.handle = clock->handle;
        outer.record = clock->record;
        outer.running = clock->running;
        outer.waker = clock->waker;
        outer.nested = clock->nested;
        outer.inner = clock->inner;
        outer.how = clock->how;
        outer.woke = clock->woke;
        clock->inner = 0.0;
    }
    clock->nested = 0.0; /* of a step that was not timed */
    return outer;
}

/* What ran is over, after so many seconds: these are no time of the callback around it. A ring that begins while the next
 * runs finds nothing of it. */
static inline void callback_ends(LoopClock *clock, const Outer *outer, double elapsed) {
    clock->inside = outer->inside;
    if (UNLIKELY(outer->inside)) {
        clock->traced = outer->traced;
        clock->handle = outer->handle;
        clock->record = outer->record;
        clock->running = outer->running;
        clock->waker = outer->waker;
        clock->how = outer->how;
        clock->woke = outer->woke;
        clock->nested = outer->nested + elapsed;
        clock->inner = outer->inner + elapsed;
        return;
    }
    clock->handle = NULL;
    clock->waker = (Waker){0, 0};
    clock->how = clock->woke = 0;
    clock->inner = 0.0;
}

/* create_task.c */
int kind_of(State *state, PyObject *code);
int is_installed(State *state, PyObject *code);
int find_birth(State *state, Fields *fields, PyObject *loop, PyObject *clock, PyObject *coro);
PyObject *register_task(State *state, PyObject *loop, PyObject *task, PyObject *coro, double born, PyObject *group,
                        PyObject *source);
PyObject *create_task(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *names);

/* rest.c */
PyObject *rest(PyObject *op, PyObject *args);
void step_begins(State *state);
PyObject *end_rest(PyObject *op, PyObject *unused);

/* reading.c */
int reading_setup(void);
void drop_litter(LoopClock *clock);
void hold_object(PyObject *object);
PyObject *referent(PyObject *reference); /* borrowed */
PyObject *hold(PyObject *op, PyObject *object);
PyObject *hold_all(PyObject *op, PyObject *list);
PyObject *some_referents(PyObject *op, PyObject *args);
PyObject *is_alive(PyObject *op, PyObject *reference);
PyObject *drop_held(PyObject *op, PyObject *clock);
PyObject *read_object(PyObject *op, PyObject *const *args, Py_ssize_t count);

/* stacks.c */
PyObject *learn_reading(PyObject *op, PyObject *args);
PyObject *await_stack(PyObject *op, PyObject *object);
#define MOST_AWAITED 100 /* as in base/stacks.py */
typedef struct {
    PyObject *code;
    int32_t lasti;
} AwaitPlace;
int await_places(State *state, PyObject *object, AwaitPlace *found);
PyObject *next_awaited(State *state, PyObject *awaitable, PyObject **code, PyObject **frame);
PyObject *frame_of_awaited(PyObject *awaitable);
PyObject *await_values(PyObject *op, PyObject *args);
PyObject *own_place(PyObject *op, PyObject *awaitable);
PyObject *thread_stacks(PyObject *op, PyObject *wanted);
PyObject *other_threads(PyObject *op, PyObject *unused);
PyObject *running_on(State *state, PyObject *loop); /* borrowed */
PyObject *running_record(PyObject *op, PyObject *loop);
PyObject *state_of(PyObject *op, PyObject *record);
PyObject *strangers(PyObject *op, PyObject *args);
PyObject *instances(PyObject *op, PyObject *args);
PyObject *task_attribute(State *state, PyObject *task, PyObject *getter, PyObject *name);
PyObject *exception_of(State *state, PyObject *task);

/* new_task.c */
PyObject *hook_new_tasks(PyObject *op, PyObject *unused);
PyObject *unhook_new_tasks(PyObject *op, PyObject *unused);

/* flame.c */
#ifdef __linux__
extern PyType_Spec sampler_spec;
#endif

/* gil.c */
#ifdef __linux__
extern PyType_Spec gil_spec;
#endif

/* hook.c */
extern PyType_Spec hook_spec;
/* Names of attributes and keywords; interned, and kept for the length of the process. */
extern PyObject *str_closed, *str_debug, *str_factory, *str_ready, *str_context, *str_name, *str_loop;
extern PyObject *str_eager_start, *str_exception, *str_dunder_name, *str_done, *str_cancelled, *str_add, *str_run;
extern PyObject *str_result;
extern PyObject *str_Task, *str_get_factory, *str_cr_code, *str_waiter, *str_coro, *str_own_loop, *str_own_coro;
extern PyObject *str_cr_suspended, *str_gi_suspended;
extern PyObject *kw_loop, *kw_context, *kw_all, *zero, *no_arguments;
int strings_setup(void);
vectorcall hook_function(int kind);
COLD int swallow(State *state, const char *name);
void put_off(void);

/* module.c */
PyObject *find_loop(State *state, PyObject *loop); /* a new reference to its LoopRecord */
Py_ssize_t offset_of(PyObject *object, PyObject *wanted, const char *what);

/* What is hot in several hooks. */

/* The reference count. From 3.12 on it is in the lower half of the word, and 3.14 has flags in the other. */
static inline uint32_t references(PyObject *object) { return (uint32_t)Py_REFCNT(object); }

static inline int is_instance(PyObject *object, PyTypeObject *type) {
    return Py_TYPE(object) == type || PyType_IsSubtype(Py_TYPE(object), type);
}

/* 1 where an attribute of an object is true (or not None), 0, or -1 with an error. */
static inline int is_true(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    int result;
    if (value == NULL)
        return -1;
    result = value == Py_True ? 1 : value == Py_False ? 0 : PyObject_IsTrue(value);
    Py_DECREF(value);
    return result;
}

/* A duration in four bytes, never rounded up: the longest step of a task is not longer than all of them. */
static inline float single_of(double seconds) {
    union {
        float number;
        uint32_t bits;
    } made = {(float)seconds};
    if ((double)made.number > seconds && made.bits)
        made.bits--;
    return made.number;
}

/* The code of a coroutine; a new reference. To ask for the attribute takes 30 to 50 times as many instructions. */
static inline PyObject *code_of(State *state, PyObject *coro) {
    if (LIKELY(state->code_offset != 0 && (PyObject *)Py_TYPE(coro) == state->coroutine_type)) {
        /* From 3.14 on the lower bits may say how the reference is counted. */
        PyObject *code = (PyObject *)(*(uintptr_t *)((char *)coro + state->code_offset) & ~(uintptr_t)7);
        if (LIKELY(code != NULL && Py_TYPE(code) == state->code_type)) {
            Py_INCREF(code);
            return code;
        }
    }
    return PyObject_GetAttr(coro, str_cr_code);
}

static inline int is_set(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    Py_DECREF(value);
    return value != Py_None;
}

static inline int is_followed(State *state, PyObject *loop) {
    return LIKELY(loop == state->last_loop) && ((LoopClock *)state->last_record)->followed;
}

/* What BaseEventLoop checks first: 0 if the loop is open and not in debug mode, and also if that cannot be read: asyncio's
 * own code will then raise. */
static inline int needs_asyncio_path(State *state, PyObject *loop) {
    /* While asyncio's own code runs a loop it is not closed; others may run and close theirs as they like. */
    int closed = is_followed(state, loop) ? 0 : is_true(loop, str_closed);
    int debug = closed == 0 ? is_true(loop, str_debug) : 1;
    if (closed < 0 || debug < 0)
        PyErr_Clear();
    return closed != 0 || debug != 0;
}

static inline PyObject *call_original(Hook *hook, PyObject *const *args, size_t nargsf, PyObject *names) {
    return PyObject_Vectorcall(hook->original, args, (size_t)NARGS(nargsf), names);
}

static inline PyObject *call_fallback(Hook *hook, PyObject *const *args, size_t nargsf, PyObject *names) {
    PyObject *function = hook->fallback != NULL ? hook->fallback : hook->original;
    return PyObject_Vectorcall(function, args, (size_t)NARGS(nargsf), names);
}

/* Finds the task whose step a callback is, and publishes its record for flame.c. */
static inline void begin_step(State *state, LoopClock *clock, PyObject *callback, Begun *begun) {
    begun->record = NULL;
    begun->step = step_of(state, callback, &begun->task);
    if (begun->step != NO_STEP) {
        PyObject *record = records_find(state->records, begun->task);
        if (record != NULL && REFERENT(record) == begun->task) {
            Py_INCREF(record);
            begun->record = record;
        }
    }
    clock->record = begun->record;
}

#define MOST_ON_STACK 6

/* Calls a callback with the arguments of a tuple. */
static inline PyObject *call_with(PyObject *callback, PyObject *arguments) {
    PyObject *stack[MOST_ON_STACK + 1];
    Py_ssize_t index, count = PyTuple_Size(arguments);
    if (count > MOST_ON_STACK)
        return PyObject_Call(callback, arguments, NULL);
    for (index = 0; index < count; index++)
        stack[index + 1] = PyTuple_GetItem(arguments, index);
    return PyObject_Vectorcall(callback, stack + 1, (size_t)count | OFFSET_FLAG, NULL);
}

#pragma GCC visibility pop
#endif
