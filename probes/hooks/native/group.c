/* Groups: tasks of one coroutine and label, counted at the birth and at the end of each, so that none is missed; and
 * tasks of one creation site, whose ends are counted.
 *
 * The twin in Python is probes/hooks/groups.py. A group is found by the code of the coroutine; which label a task has is
 * asked in Python, and only of coroutines that an adapter knows (probes/labels).
 */
#include "hooks.h"
#include <math.h>
#include <stddef.h>

#define SLOWEST 5
enum { AGE, RAN, QUEUED, WAITED, DISTRIBUTIONS };

typedef struct {
    int64_t id;
    double age, ended;
    int outcome;
} Exemplar;

#define KEYS 6 /* most parts of a request that decide its label */
#define HOPS 4
#define DECIDED 128 /* in the cache of what decides a label alone */
#define LABELS 128 /* in the cache of labels, and how many places are looked at */
#define LABEL_PROBES 4

/* How to get from one object to another: names of attributes, or of items of a dict. */
typedef struct {
    PyObject *names[HOPS];
    Py_ssize_t places[HOPS]; /* in a tuple */
    char items[HOPS];
    int count;
} Path;

/* A group by what decides its label. Strings are held and compared by value; anything else by identity, through a weak
 * reference, so that nothing of the program is kept alive. */
typedef struct {
    PyObject *keys[KEYS];
    PyObject *group;
} Known;

/* A group by one object that decides the label of its tasks alone: a weak reference to a route. */
typedef struct {
    PyObject *by, *group;
} Decided;

/* Where the label of a group's tasks is, for those that were read in Python before (probes/labels says it). */
typedef struct {
    PyTypeObject *held; /* exact type of what the coroutine refers to */
    char weak; /* whether it may lead to its task, so that a record refers to it weakly */
    Path source, keys[KEYS], status; /* to what is kept; from there to the keys; from the result to the status */
    Path route; /* from what is kept to an object that may decide the label alone; empty: none does */
    PyObject *statuses; /* or they are noted here until the task ends, by its address or that of what is kept; NULL: they are not */
    int count, routes; /* keys; how many of the first ones say the route: one of them must be there */
    unsigned turn;
    Decided decided[DECIDED];
    Known known[LABELS];
} Plan;

typedef struct GroupCounts {
    PyObject_HEAD
    PyObject *key, *label, *coro, *adapter; /* these lead to nothing of a probe: nobody visits them */
    Plan *plan; /* NULL: labels of its tasks are read in Python */
    int64_t number, live, ended, failed, cancelled, gone, responses, errors;
    double sums[DISTRIBUTIONS];
    double exceeded; /* by the age of one that is to be among the slowest */
    Distribution distributions[DISTRIBUTIONS];
    Exemplar slowest[SLOWEST];
    int32_t site;
    int known; /* of `slowest` */
} GroupCounts;

const size_t group_number_offset = offsetof(GroupCounts, number);

static inline int bucket_of(double seconds) {
    union {
        double us;
        uint64_t bits;
    } value = {seconds * 1e6};
    if (UNLIKELY(!(value.us >= PARTS)))
        return value.us >= 1.0 ? (int)value.us : 0;
    if (UNLIKELY(value.us > 2e11))
        value.us = 2e11;
    /* The exponent is the octave, and the upper bits of the fraction are the part of it; the octave of 16 us is 1. */
    return (int)(value.bits >> (52 - 4)) - PARTS * (1023 + 3);
}

/* The counts of an octave, made when it is first needed. */
static COLD uint32_t *octave_of(Distribution *self, int octave) {
    if (self->octaves[octave] == NULL && (self->octaves[octave] = PyMem_Calloc(PARTS, sizeof(uint32_t))) == NULL)
        PyErr_NoMemory();
    return self->octaves[octave];
}

int distribution_add(Distribution *self, double seconds) {
    int bucket = bucket_of(seconds);
    uint32_t *octave = octave_of(self, bucket / PARTS);
    if (octave == NULL)
        return -1;
    octave[bucket % PARTS] += octave[bucket % PARTS] != UINT32_MAX;
    return 0;
}

/* Buckets that hold something, and how much, in turn. */
PyObject *distribution_list(const Distribution *self) {
    PyObject *list = PyList_New(0), *number;
    int octave, part, failed = 0;
    for (octave = 0; list != NULL && octave < OCTAVES; octave++) {
        const uint32_t *counts = self->octaves[octave];
        for (part = 0; counts != NULL && part < PARTS; part++) {
            long long pair[2] = {octave * PARTS + part, counts[part]};
            int index;
            for (index = 0; counts[part] && index < 2 && !failed; index++) {
                number = PyLong_FromLongLong(pair[index]);
                failed = number == NULL || PyList_Append(list, number) < 0;
                Py_XDECREF(number);
            }
        }
        if (failed)
            Py_CLEAR(list);
    }
    return list;
}

void distribution_free(Distribution *self) {
    int octave;
    for (octave = 0; octave < OCTAVES; octave++) {
        PyMem_Free(self->octaves[octave]);
        self->octaves[octave] = NULL;
    }
}

static COLD void add_exemplar(GroupCounts *self, int64_t id, double age, double ended, int outcome) {
    int index, place = 0;
    if (self->known < SLOWEST)
        place = self->known++;
    else
        for (index = 1; index < SLOWEST; index++)
            if (self->slowest[index].age < self->slowest[place].age)
                place = index;
    self->slowest[place] = (Exemplar){id, age, ended, outcome};
    if (self->known < SLOWEST)
        return;
    self->exceeded = age;
    for (index = 0; index < SLOWEST; index++)
        if (self->slowest[index].age < self->exceeded)
            self->exceeded = self->slowest[index].age;
}

/* Counts an end in its groups: that of its coroutine or label, and that of its creation site, either of which may be
 * NULL. `age` is NAN where the birth was not seen, `ran` where not every step was. */
static int count_end(GroupCounts *const groups[2], int64_t id, int outcome, double ended, double age, double ran, double queued) {
    double values[DISTRIBUTIONS] = {age, ran, queued, age - ran - queued};
    unsigned buckets[DISTRIBUTIONS];
    int known = isnan(age) ? 0 : isnan(ran) ? RAN : DISTRIBUTIONS, index, which;
    for (index = 0; index < known; index++) {
        if (values[index] < 0.0)
            values[index] = 0.0;
        buckets[index] = (unsigned)bucket_of(values[index]);
    }
    for (which = 0; which < 2; which++) {
        GroupCounts *self = groups[which];
        if (self == NULL)
            continue;
        self->ended++;
        self->failed += outcome == FAILED;
        self->cancelled += outcome == CANCELLED;
        if (known && UNLIKELY(self->known < SLOWEST || age > self->exceeded))
            add_exemplar(self, id, age, ended, outcome);
        for (index = 0; index < known; index++) {
            unsigned bucket = buckets[index];
            uint32_t *octave = self->distributions[index].octaves[bucket / PARTS], *count;
            self->sums[index] += values[index];
            if (UNLIKELY(octave == NULL) && (octave = octave_of(&self->distributions[index], (int)(bucket / PARTS))) == NULL)
                return -1;
            count = &octave[bucket % PARTS];
            *count += *count != UINT32_MAX;
        }
    }
    return 0;
}

/* The object at the end of a path, NULL without an error where there is none. */
static PyObject *follow(const Path *path, PyObject *from) {
    PyObject *next;
    int hop;
    Py_INCREF(from);
    for (hop = 0; hop < path->count; hop++) {
        if (path->items[hop] == 'i') { /* of a tuple, by place */
            Py_ssize_t place = path->places[hop];
            next = PyTuple_Check(from) && place < Py_SIZE(from) ? PyTuple_GetItem(from, place) : NULL;
            Py_XINCREF(next);
        } else if (path->items[hop]) {
            next = PyDict_Check(from) ? PyDict_GetItemWithError(from, path->names[hop]) : NULL;
            Py_XINCREF(next);
        } else
            next = PyObject_GetAttr(from, path->names[hop]);
        Py_DECREF(from);
        if (next == NULL) {
            put_off();
            return NULL;
        }
        from = next;
    }
    return from;
}

static COLD void drop_plan(GroupCounts *self) {
    Plan *plan = self->plan;
    int index, key;
    self->plan = NULL;
    if (plan == NULL)
        return;
    for (index = 0; index < LABELS; index++) {
        for (key = 0; key < KEYS; key++)
            Py_XDECREF(plan->known[index].keys[key]);
        Py_XDECREF(plan->known[index].group);
    }
    for (index = 0; index < DECIDED; index++) {
        Py_XDECREF(plan->decided[index].by);
        Py_XDECREF(plan->decided[index].group);
    }
    for (key = 0; key < KEYS + 3; key++) {
        Path *path = key < KEYS ? &plan->keys[key] : key == KEYS ? &plan->source : key == KEYS + 1 ? &plan->status : &plan->route;
        for (index = 0; index < path->count; index++)
            Py_XDECREF(path->names[index]);
    }
    Py_XDECREF(plan->statuses);
    Py_XDECREF((PyObject *)plan->held);
    PyMem_Free(plan);
}

typedef struct {
    PyTypeObject *type;
    PyObject *found;
} Search;

static int visit_held(PyObject *object, void *arg) {
    Search *search = arg;
    if (Py_TYPE(object) != search->type)
        return 0;
    search->found = object;
    return 1;
}

/* What the label of a new task is read from, NULL where its coroutine refers to no such thing. */
static PyObject *planned_source(State *state, const Plan *plan, PyObject *coro) {
    Search search = {plan->held, NULL};
    if (state->coroutine_traverse == NULL)
        state->coroutine_traverse = (traverseproc)PyType_GetSlot((PyTypeObject *)state->coroutine_type, Py_tp_traverse);
    if (state->coroutine_traverse == NULL || (PyObject *)Py_TYPE(coro) != state->coroutine_type)
        return NULL;
    state->coroutine_traverse(coro, visit_held, &search);
    if (search.found == NULL)
        return NULL;
    return follow(&plan->source, search.found);
}

/* What `group_prepare` found, as a record may keep it: takes and returns a reference; NULL without an error where it cannot
 * be referred to. */
PyObject *group_keepable(PyObject *group, PyObject *source) {
    Plan *plan = ((GroupCounts *)group)->plan;
    PyObject *reference;
    if (source == NULL || plan == NULL || !plan->weak || PyWeakref_CheckRef(source))
        return source;
    reference = PyWeakref_NewRef(source, NULL);
    Py_DECREF(source);
    if (reference == NULL)
        PyErr_Clear();
    return reference;
}

static int same_key(PyObject *kept, PyObject *key) {
    if (kept == key)
        return 1;
    if (kept == NULL || key == NULL)
        return 0;
    if (PyUnicode_CheckExact(key)) /* of known strings nothing but their text is compared */
        return PyUnicode_CheckExact(kept) && PyUnicode_Compare(kept, key) == 0;
    return PyWeakref_CheckRef(kept) && REFERENT(kept) == key;
}

/* What the label is read from; borrowed. */
static PyObject *source_object(const Plan *plan, PyObject *source) {
    return plan->weak && Py_TYPE(source) != plan->held && PyWeakref_CheckRef(source) ? REFERENT(source) : source;
}

static Decided *decided_by(Plan *plan, PyObject *object) {
    return &plan->decided[((uintptr_t)object >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32 & (DECIDED - 1)];
}

/* The group of a task whose label one object decides alone, if that is known; borrowed. */
static PyObject *find_decided(Plan *plan, PyObject *source) {
    PyObject *from = source_object(plan, source), *object, *group = NULL;
    const Decided *decided;
    if (plan->route.count == 0 || from == Py_None || (object = follow(&plan->route, from)) == NULL)
        return NULL;
    decided = decided_by(plan, object);
    if (LIKELY(decided->by != NULL && REFERENT(decided->by) == object))
        group = decided->group;
    Py_DECREF(object);
    return group;
}

/* The keys of a task, and the place of its group in the cache. 0: it has none, so it must be read in Python. */
static int find_keys(const Plan *plan, PyObject *source, PyObject **keys, size_t *place) {
    PyObject *from = source_object(plan, source);
    size_t hash = 0;
    int key, some = 0;
    if (from == Py_None)
        return 0;
    Py_INCREF(from);
    for (key = 0; key < plan->count; key++) {
        keys[key] = follow(&plan->keys[key], from);
        if (keys[key] == Py_None)
            Py_CLEAR(keys[key]);
        if (keys[key] == NULL)
            continue;
        some |= key < plan->routes;
        if (!PyUnicode_CheckExact(keys[key]))
            hash ^= (uintptr_t)keys[key] >> 4;
        else if (key < plan->routes)
            hash ^= (size_t)PyObject_Hash(keys[key]);
    }
    Py_DECREF(from);
    *place = (hash * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    return some;
}

static void drop_keys(PyObject **keys, int count) {
    int key;
    for (key = 0; key < count; key++)
        Py_XDECREF(keys[key]);
}

static PyObject *find_known(const Plan *plan, PyObject **keys, size_t place) {
    int index, key;
    for (index = 0; index < LABEL_PROBES; index++) {
        const Known *known = &plan->known[(place + (size_t)index) % LABELS];
        for (key = 0; known->group != NULL && key < plan->count && same_key(known->keys[key], keys[key]); key++)
            ;
        if (known->group != NULL && key == plan->count)
            return known->group;
    }
    return NULL;
}

/* Keeps the group of keys; what cannot be referred to weakly is read in Python again. */
static COLD void keep_known(Plan *plan, PyObject **keys, size_t place, PyObject *group) {
    PyObject *kept[KEYS] = {NULL};
    Known *known = NULL, old;
    int index, key;
    for (key = 0; key < plan->count; key++) {
        if (keys[key] == NULL)
            continue;
        if (PyUnicode_CheckExact(keys[key])) {
            Py_INCREF(keys[key]);
            kept[key] = keys[key];
        } else if ((kept[key] = PyWeakref_NewRef(keys[key], NULL)) == NULL) {
            PyErr_Clear();
            drop_keys(kept, key);
            return;
        }
    }
    for (index = 0; index < LABEL_PROBES && (known == NULL || known->group != NULL); index++)
        known = &plan->known[(place + (size_t)index) % LABELS];
    if (known->group != NULL)
        known = &plan->known[(place + plan->turn++ % LABEL_PROBES) % LABELS];
    old = *known;
    for (key = 0; key < KEYS; key++)
        known->keys[key] = kept[key];
    Py_INCREF(group);
    known->group = group;
    drop_keys(old.keys, KEYS);
    Py_XDECREF(old.group);
}

static int read_path(Path *path, PyObject *names) {
    Py_ssize_t index, count = PyTuple_Check(names) ? PyTuple_Size(names) : HOPS + 1;
    if (count > HOPS)
        return -1;
    for (index = 0; index < count; index++) {
        PyObject *name = PyTuple_GetItem(names, index), *bare;
        if (PyLong_Check(name)) {
            path->places[index] = PyLong_AsSsize_t(name);
            if (path->places[index] < 0)
                return -1;
            Py_INCREF(name);
            bare = name;
            path->items[index] = 'i';
        } else if (!PyUnicode_Check(name) || PyUnicode_GetLength(name) < 2)
            return -1;
        else {
            path->items[index] = PyUnicode_ReadChar(name, 0) == '[';
            bare = path->items[index] ? PyUnicode_Substring(name, 1, PyUnicode_GetLength(name)) : NULL;
            if (bare == NULL) {
                Py_INCREF(name);
                bare = name;
            }
            PyUnicode_InternInPlace(&bare);
        }
        path->names[index] = bare;
        path->count = (int)index + 1;
    }
    return 0;
}

/* decide(object, group): tasks that have it are counted there, whatever else decides labels. */
static PyObject *tally_decide(PyObject *op, PyObject *args) {
    GroupCounts *self = (GroupCounts *)op;
    PyObject *object, *group, *by;
    Decided *decided, old;
    if (!PyArg_ParseTuple(args, "OO", &object, &group))
        return NULL;
    if (Py_TYPE(group) != Py_TYPE(op)) {
        PyErr_SetString(PyExc_TypeError, "a GroupCounts is expected");
        return NULL;
    }
    if (self->plan == NULL)
        Py_RETURN_NONE;
    by = PyWeakref_NewRef(object, NULL);
    if (by == NULL)
        return NULL;
    decided = decided_by(self->plan, object);
    old = *decided;
    Py_INCREF(group);
    *decided = (Decided){by, group};
    Py_XDECREF(old.by);
    Py_XDECREF(old.group);
    Py_RETURN_NONE;
}

/* plan(type, weak, path to the source, paths to the keys, how many say the route, path to the status or dict of them[, path
 * to what may decide the label alone]): from now on labels are found here. */
static PyObject *tally_plan(PyObject *op, PyObject *args) {
    GroupCounts *self = (GroupCounts *)op;
    PyObject *type, *source, *keys, *status, *route = NULL;
    Plan *plan;
    int weak, routes, failed;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(args, "O!pO!O!iO|O!", &PyType_Type, &type, &weak, &PyTuple_Type, &source, &PyTuple_Type, &keys, &routes,
                          &status, &PyTuple_Type, &route))
        return NULL;
    if (self->plan != NULL)
        Py_RETURN_NONE; /* another thread was first */
    plan = PyMem_Calloc(1, sizeof(Plan));
    if (plan == NULL)
        return PyErr_NoMemory();
    Py_INCREF(type);
    plan->held = (PyTypeObject *)type;
    plan->weak = (char)weak;
    plan->routes = routes;
    if (PyDict_Check(status)) {
        Py_INCREF(status);
        plan->statuses = status;
    }
    failed = PyTuple_Size(keys) > KEYS || read_path(&plan->source, source) < 0 ||
             (plan->statuses == NULL && read_path(&plan->status, status) < 0);
    for (index = 0; !failed && index < PyTuple_Size(keys); index++) {
        plan->count = (int)index + 1;
        failed = read_path(&plan->keys[index], PyTuple_GetItem(keys, index)) < 0;
    }
    if (route != NULL && !failed)
        failed = read_path(&plan->route, route) < 0;
    self->plan = plan;
    if (failed) {
        drop_plan(self);
        PyErr_SetString(PyExc_ValueError, "not a plan");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A group by its key: its code, or for what is no plain coroutine its type. Borrowed from the cache. */
static GroupCounts *find_group(State *state, PyObject *key, PyObject *coro) {
    size_t place = ((uintptr_t)key >> 5) * UINT64_C(0x9E3779B97F4A7C15) >> 32, index;
    PyObject **cache = state->groups, *found, *old;
    for (index = 0; index < GROUP_PROBES; index++) {
        found = cache[(place + index) % GROUPS];
        if (found == NULL)
            break;
        if (LIKELY(((GroupCounts *)found)->key == key))
            return (GroupCounts *)found;
    }
    found = PyObject_CallFunctionObjArgs(state->on_group, key, coro, NULL);
    if (found == NULL)
        return NULL;
    if (!is_instance(found, state->group_type)) {
        Py_DECREF(found);
        PyErr_SetString(PyExc_TypeError, "a GroupCounts is expected");
        return NULL;
    }
    place = (place + (index < GROUP_PROBES ? index : 0)) % GROUPS;
    old = cache[place];
    cache[place] = found;
    Py_XDECREF(old);
    return (GroupCounts *)found;
}

/* The type of what is no plain coroutine; the code of one that was compiled by Cython, where many have one type. */
static COLD PyObject *key_of_other(PyObject *coro) {
    PyObject *name = PyType_GetName(Py_TYPE(coro)), *key = NULL;
    if (name != NULL && PyUnicode_CompareWithASCIIString(name, "coroutine") == 0)
        key = PyObject_GetAttr(coro, str_cr_code);
    PyErr_Clear();
    Py_XDECREF(name);
    if (key == NULL || key == Py_None) {
        Py_XDECREF(key);
        key = (PyObject *)Py_TYPE(coro);
        Py_INCREF(key);
    }
    return key;
}

/* The group of a coroutine, and what the label of its task is read from (NULL: nothing): new references. A coroutine that
 * has ended no longer has what that is found in. See group_keepable. -1 with an error; 0 and no group: nothing is counted. */
int group_prepare(State *state, PyObject *coro, PyObject **group, PyObject **source) {
    PyObject *key;
    *group = *source = NULL;
    if (state->on_group == NULL)
        return 0;
    if (LIKELY((PyObject *)Py_TYPE(coro) == state->coroutine_type)) {
        key = code_of(state, coro);
        if (key == NULL)
            return -1;
    } else {
        key = key_of_other(coro);
    }
    *group = (PyObject *)find_group(state, key, coro);
    Py_DECREF(key);
    if (*group == NULL)
        return -1;
    Py_INCREF(*group);
    if (UNLIKELY(((GroupCounts *)*group)->adapter != NULL)) {
        Plan *plan = ((GroupCounts *)*group)->plan;
        *source = plan == NULL ? NULL : planned_source(state, plan, coro);
        if (*source == NULL)
            *source = PyObject_CallFunctionObjArgs(state->on_source, *group, coro, NULL);
        if (*source == NULL) {
            Py_CLEAR(*group);
            return -1;
        }
        if (*source == Py_None)
            Py_CLEAR(*source);
    }
    return 0;
}

/* Counts a record in its group; takes both references. A task that was found while it started eagerly is there already. */
int group_join(PyObject *record, PyObject *group, PyObject *source) {
    Fields *fields = FIELDS(record);
    int result = 0;
    if (group != NULL && fields->group == group && source != NULL && (fields->extra == NULL || fields->extra->source == NULL))
        result = record_set_source(record, source);
    if (group != NULL && fields->group == NULL) {
        ((GroupCounts *)group)->live++;
        fields->group = group;
        if (source != NULL)
            result = record_set_source(record, source);
    } else
        Py_XDECREF(group);
    Py_XDECREF(source);
    return result;
}

int group_enter(State *state, PyObject *record, PyObject *coro) {
    LoopClock *clock = (LoopClock *)FIELDS(record)->loop;
    PyObject *group, *source;
    if (FIELDS(record)->group != NULL)
        return 0;
    if (group_prepare(state, coro, &group, &source) < 0)
        return -1;
    if (UNLIKELY(clock != NULL && clock->starting == coro)) {
        FIELDS(record)->born = clock->starting_since;
        if (group != NULL && source == NULL) {
            source = clock->starting_source;
            Py_XINCREF(source);
        }
    }
    return group_join(record, group, group == NULL ? NULL : group_keepable(group, source));
}

/* Takes what was noted for an object; NULL without an error where that is nothing. */
static PyObject *take_noted(PyObject *statuses, PyObject *object) {
    PyObject *key = PyLong_FromVoidPtr(object), *status = key == NULL ? NULL : PyDict_GetItemWithError(statuses, key);
    Py_XINCREF(status);
    if (status == NULL || PyDict_DelItem(statuses, key) < 0)
        PyErr_Clear();
    Py_XDECREF(key);
    return status;
}

/* Whether the status of a task's response is noted there until it ends. */
int group_notes_in(PyObject *record, PyObject *statuses) {
    GroupCounts *group = (GroupCounts *)FIELDS(record)->group;
    return group != NULL && group->plan != NULL && group->plan->statuses == statuses;
}

/* Counts the response to a request that is over, where its status can be read. `record`: NULL where the base has a plan. */
static int count_response(State *state, PyObject *record, PyObject *task, int outcome, GroupCounts *base, GroupCounts *group,
                          PyObject *source) {
    const Plan *plan = base->plan;
    PyObject *result, *status = NULL;
    long code;
    if (plan != NULL && plan->statuses != NULL)
        status = take_noted(plan->statuses, task);
    if (plan != NULL && plan->statuses != NULL && status == NULL)
        status = take_noted(plan->statuses, source);
    if (outcome != DONE) {
        Py_XDECREF(status);
        return 0;
    }
    if (plan != NULL && plan->status.count) {
        /* Of a task that is done and has one. */
        result = LIKELY(Py_TYPE(task) == state->task_type && state->result != NULL)
                     ? state->result(task, NULL)
                     : PyObject_CallMethodObjArgs(task, str_result, NULL);
        if (result == NULL)
            return -1;
        status = follow(&plan->status, result);
        Py_DECREF(result);
    } else if (plan == NULL && state->on_status != NULL) {
        status = PyObject_CallFunctionObjArgs(state->on_status, record, source, NULL);
        if (status == NULL)
            return -1;
    }
    if (status == NULL)
        return 0;
    code = PyLong_Check(status) ? PyLong_AsLong(status) : -1;
    Py_DECREF(status);
    if (code < 0) {
        PyErr_Clear();
        return 0;
    }
    group->responses++;
    group->errors += code >= 500;
    return 0;
}

/* Whether a group is that of a label, and not that of all labels beyond the bounds. */
static int is_of_label(GroupCounts *group, Extra *extra) {
    return group->label != NULL && extra != NULL && extra->label != NULL && PyUnicode_CheckExact(extra->label) &&
           PyUnicode_CheckExact(group->label) && PyUnicode_Compare(group->label, extra->label) == 0;
}

/* The labelled group in which a task counts that has ended; NULL: that of its coroutine, or an error. New reference. */
static PyObject *find_labelled(State *state, PyObject *record, GroupCounts *group) {
    Extra *extra = FIELDS(record)->extra;
    Plan *plan = group->plan;
    PyObject *keys[KEYS] = {NULL}, *labelled;
    size_t place = 0;
    int planned = plan != NULL && extra != NULL && extra->source != NULL && extra->label == NULL &&
                  (!plan->weak || PyWeakref_CheckRef(extra->source)), readable;
    labelled = planned ? find_decided(plan, extra->source) : NULL;
    extra = FIELDS(record)->extra;
    readable = labelled == NULL && planned && extra != NULL && extra->source != NULL && find_keys(plan, extra->source, keys, &place);
    if (readable)
        labelled = find_known(plan, keys, place);
    extra = FIELDS(record)->extra; /* to find the keys may run code of the program's */
    if (LIKELY(labelled != NULL)) {
        Py_INCREF(labelled);
        if (extra != NULL && extra->label == NULL) {
            Py_INCREF(((GroupCounts *)labelled)->label);
            extra->label = ((GroupCounts *)labelled)->label;
        }
    } else {
        labelled = PyObject_CallFunctionObjArgs(state->on_label, record, NULL);
        if (labelled != NULL && !is_instance(labelled, state->group_type))
            Py_CLEAR(labelled);
        extra = FIELDS(record)->extra;
        if (labelled != NULL && readable && group->plan == plan && is_of_label((GroupCounts *)labelled, extra))
            keep_known(plan, keys, place, labelled);
    }
    drop_keys(keys, KEYS);
    return labelled;
}

/* The group of the tasks that an instruction makes; a new reference. NULL: none, or an error. */
static PyObject *find_site_group(State *state, PyObject *code, int32_t lasti) {
    size_t place = ((uintptr_t)code >> 4) + (size_t)lasti * UINT64_C(0x9E3779B97F4A7C15), index;
    SiteGroup *slot, old;
    PyObject *function = state->on_site_group, *number, *found;
    place = (place * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    for (index = 0; index < GROUP_PROBES; index++) {
        slot = &state->site_groups[(place + index) % GROUPS];
        if (slot->group == NULL)
            break;
        if (LIKELY(slot->code == code && slot->lasti == lasti)) {
            Py_INCREF(slot->group);
            return slot->group;
        }
    }
    if (function == NULL || (number = PyLong_FromLong(lasti)) == NULL)
        return NULL;
    found = PyObject_CallFunctionObjArgs(function, code == NULL ? Py_None : code, number, NULL);
    Py_DECREF(number);
    if (found == NULL)
        return NULL;
    if (!is_instance(found, state->group_type)) {
        Py_DECREF(found);
        PyErr_SetString(PyExc_TypeError, "a GroupCounts is expected");
        return NULL;
    }
    slot = &state->site_groups[(place + (index < GROUP_PROBES ? index : 0)) % GROUPS];
    old = *slot;
    Py_XINCREF(code); /* so that no other code gets its address */
    Py_INCREF(found);
    *slot = (SiteGroup){code, found, lasti};
    Py_XDECREF(old.code);
    Py_XDECREF(old.group);
    return found;
}

int group_leave(State *state, PyObject *record) {
    Fields *fields = FIELDS(record);
    GroupCounts *base = (GroupCounts *)fields->group, *group = base;
    PyObject *site;
    PyObject *labelled;
    Extra *extra;
    int failed = 0;
    if (group == NULL)
        return 0;
    /* Counting may begin anew while a label or a status is read: the record then leaves its group. */
    Py_INCREF((PyObject *)base);
    group->live--;
    extra = fields->extra;
    if (UNLIKELY(extra != NULL && (extra->label || extra->source))) {
        PyObject *source = extra->source;
        Py_XINCREF(source); /* reading a label lets go of it */
        labelled = find_labelled(state, record, group);
        if (labelled == NULL && PyErr_Occurred()) {
            Py_XDECREF(source);
            Py_DECREF((PyObject *)base);
            return -1;
        }
        if (labelled != NULL && fields->group == (PyObject *)base) {
            Py_INCREF(labelled);
            fields->group = labelled;
            Py_DECREF((PyObject *)base);
            group = (GroupCounts *)labelled;
        } else
            Py_XDECREF(labelled);
        failed = source != NULL && base->adapter != NULL
                     ? count_response(state, record, REFERENT(record), fields->outcome, base, group, source)
                     : 0;
        Py_XDECREF(source);
        extra = fields->extra;
        if (extra != NULL) {
            Py_CLEAR(extra->source);
            Py_CLEAR(extra->seen);
        }
    }
    if (!failed) {
        site = find_site_group(state, fields->code, fields->lasti);
        failed = site == NULL && PyErr_Occurred() ? -1 : 0;
        if (!failed)
            failed = count_end((GroupCounts *[]){group, (GroupCounts *)site}, fields->id, fields->outcome, fields->ended,
                               fields->ended - fields->born, fields->counted == 0 ? fields->busy : NAN, fields->scheduled);
        Py_XDECREF(site);
    }
    if (group != base)
        Py_DECREF((PyObject *)group);
    Py_DECREF((PyObject *)base);
    return failed;
}

/* Counts birth and end of a task that came to a result, of which there is no record. 1: done; 0, and nothing is counted:
 * its label has to be read in Python; -1 with an error. `source` may be what group_keepable was not called for. */
int group_pass(State *state, PyObject *group, PyObject *source, PyObject *task, Fields *fields) {
    GroupCounts *base = (GroupCounts *)group, *counts = base;
    PyObject *keys[KEYS] = {NULL}, *site;
    Plan *plan = base->plan;
    size_t place;
    int failed = 0;
    if (source != NULL) {
        counts = plan == NULL ? NULL : (GroupCounts *)find_decided(plan, source);
        if (UNLIKELY(counts == NULL) && plan != NULL && find_keys(plan, source, keys, &place))
            counts = (GroupCounts *)find_known(plan, keys, place);
        Py_XINCREF((PyObject *)counts);
        drop_keys(keys, KEYS);
        if (counts == NULL)
            return 0;
    } else
        Py_INCREF((PyObject *)counts);
    if (source != NULL)
        failed = count_response(state, NULL, task, fields->outcome, base, counts, source);
    site = failed ? NULL : find_site_group(state, fields->code, fields->lasti);
    if (site == NULL && PyErr_Occurred())
        failed = -1;
    if (!failed)
        failed = count_end((GroupCounts *[]){counts, (GroupCounts *)site}, fields->id, fields->outcome, fields->ended,
                           fields->ended - fields->born, fields->busy, 0.0);
    Py_XDECREF(site);
    Py_DECREF((PyObject *)counts);
    return failed ? -1 : 1;
}

/* Another value of the context variable that labels are read from. */
int group_see(State *state, PyObject *record, PyObject *seen) {
    PyObject *function = state->on_seen, *result;
    if (record_set_seen(record, seen) < 0)
        return -1;
    if (function == NULL)
        return 0;
    Py_INCREF(function); /* another may be set while it runs */
    result = PyObject_CallFunctionObjArgs(function, record, seen, NULL);
    Py_DECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Looks again for what the label of a task is read from. */
int group_look_again(State *state, PyObject *record) {
    PyObject *function = state->on_later, *result;
    if (function == NULL)
        return 0;
    Py_INCREF(function);
    result = PyObject_CallFunctionObjArgs(function, record, NULL);
    Py_DECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

PyObject *watch_later(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *later, *on_later, *old_later = self->later, *old_function = self->on_later;
    if (!PyArg_ParseTuple(args, "OO", &later, &on_later))
        return NULL;
    self->later = later == Py_None ? NULL : later;
    self->on_later = on_later == Py_None ? NULL : on_later;
    Py_XINCREF(self->later);
    Py_XINCREF(self->on_later);
    Py_XDECREF(old_later);
    Py_XDECREF(old_function);
    Py_RETURN_NONE;
}

PyObject *watch_variable(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *variable, *on_seen, *old_variable = self->label_variable, *old_seen = self->on_seen;
    if (!PyArg_ParseTuple(args, "OO", &variable, &on_seen))
        return NULL;
    if (variable != Py_None && PyContextVar_Get == NULL) {
        PyErr_SetString(PyExc_NotImplementedError, "this Python lacks PyContextVar_Get");
        return NULL;
    }
    self->label_variable = variable == Py_None ? NULL : variable;
    self->on_seen = on_seen == Py_None ? NULL : on_seen;
    Py_XINCREF(self->label_variable);
    Py_XINCREF(self->on_seen);
    Py_XDECREF(old_variable);
    Py_XDECREF(old_seen);
    Py_RETURN_NONE;
}

/* The record goes: a task that was collected without an end that was seen is alive no longer. */
void group_drop(PyObject *record) {
    Fields *fields = FIELDS(record);
    GroupCounts *group = (GroupCounts *)fields->group;
    if (group == NULL)
        return;
    if (!fields->outcome) {
        group->live--;
        group->gone++;
    }
    fields->group = NULL;
    Py_DECREF((PyObject *)group);
}

void groups_forget(State *state) {
    int index;
    for (index = 0; index < GROUPS; index++) {
        SiteGroup old = state->site_groups[index];
        state->site_groups[index] = (SiteGroup){NULL, NULL, 0};
        Py_XDECREF(old.code);
        Py_XDECREF(old.group);
        Py_CLEAR(state->groups[index]);
    }
}

/* Methods of the state. */

static int is_record(State *state, PyObject *record) {
    if (is_instance(record, state->record_type))
        return 1;
    PyErr_SetString(PyExc_TypeError, "a TaskRecord is expected");
    return 0;
}

PyObject *learn_groups(PyObject *op, PyObject *args) {
    State *self = (State *)op;
    PyObject *coroutine, *on_group, *on_source, *on_label, *on_status, *on_site_group;
    if (!PyArg_ParseTuple(args, "OOOOOO", &coroutine, &on_group, &on_source, &on_label, &on_status, &on_site_group))
        return NULL;
    if (self->on_group == NULL) {
        Py_INCREF(coroutine);
        self->coroutine_type = coroutine;
        Py_INCREF(on_group);
        Py_INCREF(on_source);
        Py_INCREF(on_label);
        self->on_source = on_source;
        self->on_label = on_label;
        Py_INCREF(on_status);
        self->on_status = on_status;
        Py_INCREF(on_site_group);
        self->on_site_group = on_site_group;
        self->on_group = on_group;
    }
    Py_RETURN_NONE;
}

PyObject *enter_group(PyObject *op, PyObject *args) {
    PyObject *record, *coro;
    if (!PyArg_ParseTuple(args, "OO", &record, &coro) || !is_record((State *)op, record) ||
        group_enter((State *)op, record, coro) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *leave_group(PyObject *op, PyObject *record) {
    if (!is_record((State *)op, record) || group_leave((State *)op, record) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *forget_groups(PyObject *op, PyObject *unused) {
    groups_forget((State *)op);
    Py_RETURN_NONE;
}

/* GroupCounts */

static int tally_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"number", "key", "coro", "label", NULL};
    GroupCounts *self = (GroupCounts *)op;
    PyObject *key, *coro, *label = Py_None;
    long long number;
    if (self->key != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "made already");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LOO|O", names, &number, &key, &coro, &label))
        return -1;
    self->number = number;
    Py_INCREF(key);
    self->key = key;
    Py_INCREF(coro);
    self->coro = coro;
    if (label != Py_None) {
        Py_INCREF(label);
        self->label = label;
    }
    return 0;
}

static PyObject *tally_histogram(PyObject *op, PyObject *which) {
    long kind = PyLong_AsLong(which);
    if (kind < 0 || kind >= DISTRIBUTIONS) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no such distribution");
        return NULL;
    }
    return distribution_list(&((GroupCounts *)op)->distributions[kind]);
}

static PyObject *tally_slowest(PyObject *op, PyObject *unused) {
    GroupCounts *self = (GroupCounts *)op;
    PyObject *list = PyList_New(0);
    int index;
    for (index = 0; list != NULL && index < self->known; index++) {
        Exemplar *one = &self->slowest[index];
        PyObject *row = Py_BuildValue("(Lddi)", (long long)one->id, one->age, one->ended, one->outcome);
        if (row == NULL || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *tally_add(PyObject *op, PyObject *args) {
    long long id;
    int outcome;
    double ended, age, ran, queued;
    if (!PyArg_ParseTuple(args, "Lidddd", &id, &outcome, &ended, &age, &ran, &queued) ||
        count_end((GroupCounts *[]){(GroupCounts *)op, NULL}, id, outcome, ended, age, ran, queued) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tally_add_response(PyObject *op, PyObject *status) {
    GroupCounts *self = (GroupCounts *)op;
    long code = PyLong_AsLong(status);
    if (code == -1 && PyErr_Occurred())
        return NULL;
    self->responses++;
    self->errors += code >= 500;
    Py_RETURN_NONE;
}

static PyObject *tally_sums(PyObject *op, void *unused) {
    double *sums = ((GroupCounts *)op)->sums;
    return Py_BuildValue("(dddd)", sums[AGE], sums[RAN], sums[QUEUED], sums[WAITED]);
}

static void tally_dealloc(PyObject *op) {
    GroupCounts *self = (GroupCounts *)op;
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    int kind;
    for (kind = 0; kind < DISTRIBUTIONS; kind++)
        distribution_free(&self->distributions[kind]);
    drop_plan(self);
    Py_XDECREF(self->key);
    Py_XDECREF(self->label);
    Py_XDECREF(self->coro);
    Py_XDECREF(self->adapter);
    release(op);
    Py_DECREF(type);
}

static PyMemberDef tally_members[] = {
    {"key", T_OBJECT, offsetof(GroupCounts, key), READONLY, NULL},
    {"label", T_OBJECT, offsetof(GroupCounts, label), READONLY, NULL},
    {"coro", T_OBJECT, offsetof(GroupCounts, coro), READONLY, NULL},
    {"adapter", T_OBJECT, offsetof(GroupCounts, adapter), 0, NULL},
    {"number", T_LONGLONG, offsetof(GroupCounts, number), READONLY, NULL},
    {"live", T_LONGLONG, offsetof(GroupCounts, live), 0, NULL},
    {"ended", T_LONGLONG, offsetof(GroupCounts, ended), READONLY, NULL},
    {"failed", T_LONGLONG, offsetof(GroupCounts, failed), READONLY, NULL},
    {"cancelled", T_LONGLONG, offsetof(GroupCounts, cancelled), READONLY, NULL},
    {"gone", T_LONGLONG, offsetof(GroupCounts, gone), 0, NULL},
    {"responses", T_LONGLONG, offsetof(GroupCounts, responses), READONLY, NULL},
    {"errors", T_LONGLONG, offsetof(GroupCounts, errors), READONLY, NULL},
    {"site", T_INT, offsetof(GroupCounts, site), 0, NULL},
    {NULL},
};
static PyGetSetDef tally_getset[] = {{"sums", tally_sums, NULL, "Seconds: age, ran, queued, waited.", NULL}, {NULL}};
static PyMethodDef tally_methods[] = {
    {"add", tally_add, METH_VARARGS, "Counts an end: id, outcome, ended, age, ran, queued; NAN for what is not known."},
    {"histogram", tally_histogram, METH_O, "Buckets that hold something, and how much, in turn."},
    {"plan", tally_plan, METH_VARARGS, "Where the labels of its tasks are; see probes/labels/labels.py."},
    {"decide", tally_decide, METH_VARARGS, "Counts tasks whose label an object decides in a group."},
    {"add_response", tally_add_response, METH_O, "Counts a response by its status."},
    {"slowest", tally_slowest, METH_NOARGS, "Id, age, end and outcome of the slowest."},
    {NULL},
};
static PyType_Slot tally_slots[] = {
    {Py_tp_doc, "What is counted of the tasks of one coroutine and label, or of one creation site."},
    {Py_tp_init, tally_init},
    {Py_tp_members, tally_members},
    {Py_tp_getset, tally_getset},
    {Py_tp_methods, tally_methods},
    {Py_tp_dealloc, tally_dealloc},
    {0, NULL},
};
PyType_Spec group_spec = {
    .name = "probes.hooks.records.GroupCounts",
    .basicsize = sizeof(GroupCounts),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = tally_slots,
};
