/* Groups: tasks of one coroutine and label, counted at the birth and at the end of each, so that none is missed.
 *
 * The twin in Python is probes/hooks/groups.py. A group is found by the code of the coroutine; which label a task has is
 * asked in Python, and only of coroutines that an adapter knows (probes/labels).
 */
#include "hooks.h"
#include <math.h>
#include <stddef.h>

#define PARTS 16 /* of an octave: the middle of a bucket is within 3.1 % of everything in it */
#define OCTAVES 38
#define SLOWEST 5
enum { AGE, RAN, QUEUED, WAITED, DISTRIBUTIONS };

typedef struct {
    uint32_t *octaves[OCTAVES]; /* NULL: nothing counted there */
} Distribution;

typedef struct {
    int64_t id;
    double age, ended;
    int outcome;
} Exemplar;

typedef struct GroupCounts {
    PyObject_HEAD
    PyObject *key, *label, *coro, *adapter; /* these lead to nothing of a probe: nobody visits them */
    int64_t number, live, ended, failed, cancelled, gone;
    double sums[DISTRIBUTIONS];
    Distribution distributions[DISTRIBUTIONS];
    Exemplar slowest[SLOWEST];
    int32_t site;
    int known; /* of `slowest` */
} GroupCounts;

const size_t group_number_offset = offsetof(GroupCounts, number);

static int bucket_of(double seconds) {
    double us = seconds * 1e6;
    uint64_t whole = us >= 1.0 ? us < 2e11 ? (uint64_t)us : (uint64_t)2e11 : 0;
    int octave;
    if (whole < PARTS)
        return (int)whole;
    octave = 63 - __builtin_clzll(whole) - 3;
    return octave * PARTS + (int)((whole >> (octave - 1)) & (PARTS - 1));
}

static int distribution_add(Distribution *self, double seconds) {
    int bucket = bucket_of(seconds), octave = bucket / PARTS;
    if (UNLIKELY(self->octaves[octave] == NULL)) {
        self->octaves[octave] = PyMem_Calloc(PARTS, sizeof(uint32_t));
        if (self->octaves[octave] == NULL)
            return -1;
    }
    self->octaves[octave][bucket % PARTS]++;
    return 0;
}

static void add_exemplar(GroupCounts *self, int64_t id, double age, double ended, int outcome) {
    int index, place = 0;
    if (self->known < SLOWEST)
        place = self->known++;
    else {
        for (index = 1; index < SLOWEST; index++)
            if (self->slowest[index].age < self->slowest[place].age)
                place = index;
        if (LIKELY(self->slowest[place].age >= age))
            return;
    }
    self->slowest[place] = (Exemplar){id, age, ended, outcome};
}

/* Counts an end. `age` is NAN where the birth was not seen, `ran` where not every step was. */
static int count_end(GroupCounts *self, int64_t id, int outcome, double ended, double age, double ran, double queued) {
    double values[DISTRIBUTIONS] = {age, ran, queued, age - ran - queued};
    int index;
    self->ended++;
    self->failed += outcome == FAILED;
    self->cancelled += outcome == CANCELLED;
    if (isnan(age))
        return 0;
    add_exemplar(self, id, age, ended, outcome);
    for (index = AGE; index < (isnan(ran) ? RAN : DISTRIBUTIONS); index++) {
        if (values[index] < 0.0)
            values[index] = 0.0;
        self->sums[index] += values[index];
        if (distribution_add(&self->distributions[index], values[index]) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
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

int group_enter(State *state, PyObject *record, PyObject *coro) {
    Fields *fields = FIELDS(record);
    PyObject *key, *source;
    GroupCounts *group;
    int result = 0;
    if (state->on_group == NULL || fields->group != NULL)
        return 0;
    if (LIKELY((PyObject *)Py_TYPE(coro) == state->coroutine_type)) {
        key = PyObject_GetAttr(coro, str_cr_code);
        if (key == NULL)
            return -1;
    } else {
        key = (PyObject *)Py_TYPE(coro);
        Py_INCREF(key);
    }
    group = find_group(state, key, coro);
    Py_DECREF(key);
    if (group == NULL)
        return -1;
    Py_INCREF((PyObject *)group);
    group->live++;
    fields->group = (PyObject *)group;
    if (UNLIKELY(group->adapter != NULL)) {
        source = PyObject_CallFunctionObjArgs(state->on_source, (PyObject *)group, coro, NULL);
        if (source == NULL)
            return -1;
        if (source != Py_None)
            result = PyObject_SetAttrString(record, "source", source);
        Py_DECREF(source);
    }
    return result;
}

int group_leave(State *state, PyObject *record) {
    Fields *fields = FIELDS(record);
    GroupCounts *group = (GroupCounts *)fields->group;
    PyObject *labelled;
    if (group == NULL)
        return 0;
    group->live--;
    if (UNLIKELY(state->labels_all || (fields->extra != NULL && (fields->extra->label || fields->extra->source)))) {
        labelled = PyObject_CallFunctionObjArgs(state->on_label, record, NULL);
        if (labelled == NULL)
            return -1;
        if (is_instance(labelled, state->group_type) && fields->group == (PyObject *)group) {
            fields->group = labelled;
            Py_DECREF((PyObject *)group);
            group = (GroupCounts *)labelled;
        } else
            Py_DECREF(labelled);
    }
    return count_end(group, fields->id, fields->outcome, fields->ended, fields->ended - fields->born,
                     isnan(fields->counted) ? fields->busy : NAN, fields->scheduled);
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
    for (index = 0; index < GROUPS; index++)
        Py_CLEAR(state->groups[index]);
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
    PyObject *coroutine, *on_group, *on_source, *on_label;
    if (!PyArg_ParseTuple(args, "OOOO", &coroutine, &on_group, &on_source, &on_label))
        return NULL;
    if (self->on_group == NULL) {
        Py_INCREF(coroutine);
        self->coroutine_type = coroutine;
        Py_INCREF(on_group);
        Py_INCREF(on_source);
        Py_INCREF(on_label);
        self->on_source = on_source;
        self->on_label = on_label;
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
    GroupCounts *self = (GroupCounts *)op;
    PyObject *list, *number;
    long kind = PyLong_AsLong(which);
    int octave, part, failed = 0;
    if (kind < 0 || kind >= DISTRIBUTIONS) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "no such distribution");
        return NULL;
    }
    list = PyList_New(0);
    for (octave = 0; list != NULL && octave < OCTAVES; octave++) {
        uint32_t *counts = self->distributions[kind].octaves[octave];
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
        count_end((GroupCounts *)op, id, outcome, ended, age, ran, queued) < 0)
        return NULL;
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
    int kind, octave;
    for (kind = 0; kind < DISTRIBUTIONS; kind++)
        for (octave = 0; octave < OCTAVES; octave++)
            PyMem_Free(self->distributions[kind].octaves[octave]);
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
    {"site", T_INT, offsetof(GroupCounts, site), 0, NULL},
    {NULL},
};
static PyGetSetDef tally_getset[] = {{"sums", tally_sums, NULL, "Seconds: age, ran, queued, waited.", NULL}, {NULL}};
static PyMethodDef tally_methods[] = {
    {"add", tally_add, METH_VARARGS, "Counts an end: id, outcome, ended, age, ran, queued; NAN for what is not known."},
    {"histogram", tally_histogram, METH_O, "Buckets that hold something, and how much, in turn."},
    {"slowest", tally_slowest, METH_NOARGS, "Id, age, end and outcome of the slowest."},
    {NULL},
};
static PyType_Slot tally_slots[] = {
    {Py_tp_doc, "What is counted of the tasks of one coroutine and label."},
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
