/* TaskRecord, a weak reference to a task with fields; LoopClock, the C part of a LoopRecord; SiteCounts. */
#include "hooks.h"
#include <math.h>
#include <stddef.h>

Py_ssize_t fields_offset, referent_offset;
static newfunc reference_new;
static destructor reference_dealloc;
static traverseproc reference_traverse;
static inquiry reference_clear;

enum { DOUBLE, DOUBLE_OR_NONE, SINGLE, MOMENT, LONG, INT, SMALL, FLAG, OBJECT, EXTRA };
typedef struct {
    int kind;
    size_t offset;
} Place;

#define PLACES(X)                                                                                                     \
    X(born, DOUBLE_OR_NONE) X(busy, DOUBLE) X(code, OBJECT) X(counted, MOMENT) X(dirty, FLAG) X(eager, FLAG) X(group, OBJECT) \
    X(ended, DOUBLE) X(id, LONG) X(key, LONG) X(lasti, INT) X(loop, OBJECT) X(max_step, SINGLE) X(predates_probe, FLAG)        \
    X(outcome, SMALL) X(parent, LONG) X(scheduled, DOUBLE) X(site, INT) X(steps, LONG) X(steps_reported, LONG)
#define EXTRAS(X) X(coro) X(failure) X(histogram) X(label) X(name) X(origin) X(seen) X(source)

#define PLACE(name, kind) static Place place_##name = {kind, offsetof(Fields, name)};
PLACES(PLACE)
#define EXTRA_PLACE(name) static Place place_##name = {EXTRA, offsetof(Extra, name)};
EXTRAS(EXTRA_PLACE)

static PyObject *or_none(PyObject *object) {
    PyObject *result = object == NULL ? Py_None : object;
    Py_INCREF(result);
    return result;
}

/* A moment in four bytes: hundredths of a second since the first that was asked for, rounded up. Few records have one, and
 * each byte of a record is paid for by every task. */
static double first_moment;

static uint32_t moment_of(double seconds) {
    double hundredths;
    if (isnan(seconds))
        return 0;
    if (first_moment == 0.0)
        first_moment = seconds;
    hundredths = (seconds - first_moment) * 100.0 + 1.0;
    if (hundredths < 1.0)
        return 1;
    return hundredths >= 4294967294.0 ? UINT32_MAX : (uint32_t)hundredths + (hundredths > (uint32_t)hundredths);
}

static PyObject *field_get(PyObject *self, void *closure) {
    Place *place = closure;
    Fields *fields = FIELDS(self);
    char *at = (char *)fields + place->offset;
    switch (place->kind) {
    case DOUBLE:
        return PyFloat_FromDouble(*(double *)at);
    case DOUBLE_OR_NONE:
        return isnan(*(double *)at) ? or_none(NULL) : PyFloat_FromDouble(*(double *)at);
    case SINGLE:
        return PyFloat_FromDouble(*(float *)at);
    case MOMENT:
        return *(uint32_t *)at == 0 ? or_none(NULL) : PyFloat_FromDouble(first_moment + (*(uint32_t *)at - 1) / 100.0);
    case LONG:
        return PyLong_FromLongLong(*(int64_t *)at);
    case INT:
        return PyLong_FromLong(*(int32_t *)at);
    case SMALL:
        return PyLong_FromLong(*(unsigned char *)at);
    case FLAG:
        return PyBool_FromLong(*(unsigned char *)at);
    case OBJECT:
        return or_none(*(PyObject **)at);
    default:
        return or_none(fields->extra == NULL ? NULL : *(PyObject **)((char *)fields->extra + place->offset));
    }
}

static void put(PyObject **at, PyObject *value) {
    PyObject *old = *at;
    *at = value == Py_None ? NULL : value;
    Py_XINCREF(*at);
    Py_XDECREF(old);
}

static int field_set(PyObject *self, PyObject *value, void *closure) {
    Place *place = closure;
    Fields *fields = FIELDS(self);
    char *at = (char *)fields + place->offset;
    double number;
    long long whole;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "fields of a record cannot be deleted");
        return -1;
    }
    switch (place->kind) {
    case DOUBLE:
    case DOUBLE_OR_NONE:
    case SINGLE:
    case MOMENT:
        number = value == Py_None && place->kind != DOUBLE && place->kind != SINGLE ? NAN : PyFloat_AsDouble(value);
        if (number == -1.0 && PyErr_Occurred())
            return -1;
        if (place->kind == SINGLE)
            *(float *)at = single_of(number);
        else if (place->kind == MOMENT)
            *(uint32_t *)at = moment_of(number);
        else
            *(double *)at = number;
        return 0;
    case OBJECT:
        put((PyObject **)at, value);
        return 0;
    case EXTRA:
        if (fields->extra == NULL) {
            if (value == Py_None)
                return 0;
            fields->extra = PyMem_Calloc(1, sizeof(Extra));
            if (fields->extra == NULL) {
                PyErr_NoMemory();
                return -1;
            }
        }
        put((PyObject **)((char *)fields->extra + place->offset), value);
        return 0;
    }
    whole = PyLong_AsLongLong(value);
    if (whole == -1 && PyErr_Occurred())
        return -1;
    if (place->kind == LONG)
        *(int64_t *)at = whole;
    else if (place->kind == INT)
        *(int32_t *)at = (int32_t)whole;
    else
        *(unsigned char *)at = (unsigned char)whole;
    return 0;
}

void record_start_counting(PyObject *record, double counted) {
    Fields *fields = FIELDS(record);
    Extra *extra = fields->extra;
    group_drop(record);
    fields->busy = fields->scheduled = fields->ended = 0.0;
    fields->max_step = 0.0f;
    fields->steps = 0;
    fields->outcome = 0;
    fields->site = 0;
    fields->steps_reported = -1;
    fields->dirty = 0;
    fields->counted = moment_of(counted);
    if (extra != NULL) {
        fields->extra = NULL;
        Py_XDECREF(extra->coro);
        Py_XDECREF(extra->failure);
        Py_XDECREF(extra->histogram);
        Py_XDECREF(extra->name);
        Py_XDECREF(extra->label);
        Py_XDECREF(extra->origin);
        Py_XDECREF(extra->seen);
        Py_XDECREF(extra->source);
        PyMem_Free(extra);
    }
}

int record_set_source(PyObject *record, PyObject *source) { return field_set(record, source, &place_source); }

int record_set_seen(PyObject *record, PyObject *seen) { return field_set(record, seen, &place_seen); }

PyObject *start_counting(PyObject *state, PyObject *record) {
    if (!PyObject_TypeCheck(record, ((State *)state)->record_type)) {
        PyErr_SetString(PyExc_TypeError, "a TaskRecord is expected");
        return NULL;
    }
    record_start_counting(record, now());
    Py_RETURN_NONE;
}

int record_is_of(PyObject *record, PyObject *task) { return REFERENT(record) == task; }

static PyObject *new_record(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *record = reference_new(type, args, kwargs);
    if (record != NULL) {
        Fields *fields = FIELDS(record);
        fields->key = (int64_t)(intptr_t)REFERENT(record);
        fields->born = NAN;
        fields->steps_reported = -1;
        /* It refers to a code object and a LoopRecord, which do not lead back here: no work for the collector. */
        PyObject_GC_UnTrack(record);
    }
    return record;
}

PyObject *record_new(State *state, PyObject *task) {
    PyObject *args = state->one, *record; /* used again and again, unless it is in use: garbage may be collected here */
    state->one = NULL;
    if (args != NULL && Py_REFCNT(args) != 1) /* gc.get_objects or the like has a reference to it */
        Py_CLEAR(args);
    if (args == NULL && (args = PyTuple_New(1)) == NULL)
        return NULL;
    Py_INCREF(task);
    if (PyTuple_SetItem(args, 0, task) < 0) {
        Py_DECREF(args);
        return NULL;
    }
    record = new_record(state->record_type, args, NULL);
    if (record != NULL && state->one == NULL) {
        Py_INCREF(Py_None);
        if (PyTuple_SetItem(args, 0, Py_None) == 0) {
            state->one = args;
            return record;
        }
        PyErr_Clear();
    }
    Py_DECREF(args);
    return record;
}

static int record_clear(PyObject *self) {
    Fields *fields = FIELDS(self);
    record_start_counting(self, NAN);
    put(&fields->code, Py_None);
    put(&fields->loop, Py_None);
    return 0;
}

static void record_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    record_clear(self);
    reference_dealloc(self);
    Py_DECREF(type);
}

static int record_traverse(PyObject *self, visitproc visit, void *arg) {
    Fields *fields = FIELDS(self);
    Extra *extra = fields->extra;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(fields->code);
    Py_VISIT(fields->loop);
    if (extra != NULL) {
        Py_VISIT(extra->coro);
        Py_VISIT(extra->failure);
        Py_VISIT(extra->histogram);
        Py_VISIT(extra->name);
        Py_VISIT(extra->label);
        Py_VISIT(extra->origin);
        Py_VISIT(extra->seen);
        Py_VISIT(extra->source);
    }
    return reference_traverse(self, visit, arg);
}

static int record_clear_all(PyObject *self) {
    record_clear(self);
    return reference_clear == NULL ? 0 : reference_clear(self);
}

/* When its last step ended, if the step ring was on then, else None. */
static PyObject *rested_at(PyObject *self, void *closure) {
    uint32_t ended = FIELDS(self)->idle_since;
    double at = now();
    uint32_t since = coarse((uint64_t)(at * RING_UNITS)) - ended;
    return ended == 0 ? or_none(NULL) : PyFloat_FromDouble(at - since * (double)(1 << COARSE) / RING_UNITS);
}

#define GETSET(name, kind) {#name, field_get, field_set, NULL, &place_##name},
#define EXTRA_GETSET(name) {#name, field_get, field_set, NULL, &place_##name},
static PyGetSetDef record_fields[] = {PLACES(GETSET) EXTRAS(EXTRA_GETSET)
                                      {"rested_at", rested_at, NULL, NULL, NULL}, {NULL}};

static PyType_Slot record_slots[] = {
    {Py_tp_doc, "What is known of one task, and the weak reference to it."},
    {Py_tp_new, new_record},
    {Py_tp_dealloc, record_dealloc},
    {Py_tp_traverse, record_traverse},
    {Py_tp_clear, record_clear_all},
    {Py_tp_getset, record_fields},
    {0, NULL},
};
PyType_Spec record_spec = {
    .name = "probes.hooks.records.TaskRecord",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = record_slots,
};

/* Finds where in a weak reference the pointer to its object is, and where fields behind it may begin. */
int record_setup(PyObject **base) {
    PyObject *module = PyImport_ImportModule("weakref"), *type = NULL, *size = NULL, *referent = NULL, *reference = NULL;
    Py_ssize_t offset, found = 0;
    int result = -1;
    if (module == NULL || (type = PyObject_GetAttrString(module, "ref")) == NULL)
        goto out;
    size = PyObject_GetAttrString(type, "__basicsize__");
    referent = size == NULL ? NULL : PySet_New(NULL);
    reference = referent == NULL ? NULL : PyObject_CallFunctionObjArgs(type, referent, NULL);
    if (reference == NULL)
        goto out;
    fields_offset = PyLong_AsSsize_t(size);
    if (fields_offset % (Py_ssize_t)sizeof(void *) != 0 || PyErr_Occurred()) {
        PyErr_SetString(PyExc_ImportError, "weak references have an odd size");
        goto out;
    }
    for (offset = sizeof(PyObject); offset < fields_offset; offset += sizeof(void *))
        if (*(PyObject **)((char *)reference + offset) == referent) {
            referent_offset = offset;
            found++;
        }
    if (found != 1) {
        PyErr_SetString(PyExc_ImportError, "weak references of this Python are not known");
        goto out;
    }
    reference_new = PyType_GetSlot((PyTypeObject *)type, Py_tp_new);
    reference_dealloc = PyType_GetSlot((PyTypeObject *)type, Py_tp_dealloc);
    reference_traverse = PyType_GetSlot((PyTypeObject *)type, Py_tp_traverse);
    reference_clear = PyType_GetSlot((PyTypeObject *)type, Py_tp_clear);
    record_spec.basicsize = (int)(fields_offset + sizeof(Fields));
    *base = type;
    type = NULL;
    result = 0;
out:
    Py_XDECREF(module);
    Py_XDECREF(type);
    Py_XDECREF(size);
    Py_XDECREF(referent);
    Py_XDECREF(reference);
    return result;
}

/* LoopClock */

static PyMemberDef clock_members[] = {
    {"started", T_DOUBLE, offsetof(LoopClock, started), 0, NULL},
    {"busy", T_DOUBLE, offsetof(LoopClock, busy), 0, NULL},
    {"nested", T_DOUBLE, offsetof(LoopClock, nested), 0, NULL},
    {"steps", T_LONGLONG, offsetof(LoopClock, steps), 0, NULL},
    {"followed", T_BOOL, offsetof(LoopClock, followed), 0, NULL},
    {"number", T_LONGLONG, offsetof(LoopClock, number), 0, NULL},
    {"inside", T_INT, offsetof(LoopClock, inside), 0, NULL},
    {NULL},
};

static void plain_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyType_Slot clock_slots[] = {
    {Py_tp_doc, "The part of a LoopRecord that every callback touches."},
    {Py_tp_members, clock_members},
    {Py_tp_dealloc, plain_dealloc},
    {0, NULL},
};
PyType_Spec clock_spec = {
    .name = "probes.hooks.records.LoopClock",
    .basicsize = sizeof(LoopClock),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = clock_slots,
};

/* SiteCounts */

static int counts_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"site", NULL};
    return PyArg_ParseTupleAndKeywords(args, kwargs, "i", names, &((SiteCounts *)self)->site) ? 0 : -1;
}

static PyMemberDef counts_members[] = {
    {"born", T_LONGLONG, offsetof(SiteCounts, born), 0, NULL},
    {"ended", T_LONGLONG, offsetof(SiteCounts, ended), 0, NULL},
    {"failed", T_LONGLONG, offsetof(SiteCounts, failed), 0, NULL},
    {"cancelled", T_LONGLONG, offsetof(SiteCounts, cancelled), 0, NULL},
    {"steps", T_LONGLONG, offsetof(SiteCounts, steps), 0, NULL},
    {"unreported", T_LONGLONG, offsetof(SiteCounts, unreported), 0, NULL},
    {"flood", T_LONGLONG, offsetof(SiteCounts, flood), 0, NULL},
    {"busy", T_DOUBLE, offsetof(SiteCounts, busy), 0, NULL},
    {"site", T_INT, offsetof(SiteCounts, site), 0, NULL},
    {NULL},
};

static PyType_Slot counts_slots[] = {
    {Py_tp_doc, "What happened at one creation site since watching began."},
    {Py_tp_init, counts_init},
    {Py_tp_members, counts_members},
    {Py_tp_dealloc, plain_dealloc},
    {0, NULL},
};
PyType_Spec counts_spec = {
    .name = "probes.hooks.records.SiteCounts",
    .basicsize = sizeof(SiteCounts),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = counts_slots,
};
