/* Records by the address of their task, the queue of changed records, and counts of short-lived tasks by site. */
#include "hooks.h"
#include <stddef.h>

/* Records: open addressing, no tombstones. The key is in the record; an entry is the pointer to it, and in the upper
 * 16 bits, which a pointer of a user's program leaves free, those of its home: the place where its key belongs. So what
 * stands on the way is passed over unread (empty tasks with a small table: 1.023 of the CPU time instead of 1.033). */

#define LEAST 256
#define SWEPT 16384
#define KEY(self, record) (*(int64_t *)((char *)FIELDS(record) + (self)->by))
#define HOME_BITS 16
#define HOME(entry) ((Py_ssize_t)((entry) >> (64 - HOME_BITS)))
#define RECORD(entry) ((PyObject *)(uintptr_t)((entry) & (UINT64_MAX >> HOME_BITS)))
#define FURTHEST ((Py_ssize_t)(1 << HOME_BITS) - 1) /* from its home */

static Py_ssize_t place_of(Records *self, int64_t key) {
    return (Py_ssize_t)(((uint64_t)key * UINT64_C(0x9E3779B97F4A7C15)) >> self->shift);
}

static uint64_t *find(Records *self, int64_t key) {
    Py_ssize_t mask = self->size - 1, place, home;
    if (self->size == 0)
        return NULL;
    place = place_of(self, key);
    for (home = place & FURTHEST; self->entries[place] != 0; place = (place + 1) & mask)
        if (HOME(self->entries[place]) == home && KEY(self, RECORD(self->entries[place])) == key)
            return &self->entries[place];
    return NULL;
}

PyObject *records_find(Records *self, PyObject *task) {
    uint64_t *entry = find(self, (int64_t)(intptr_t)task);
    return entry == NULL ? NULL : RECORD(*entry);
}

static void fill(Records *self, uint64_t *entry, Py_ssize_t home, PyObject *record) {
    *entry = (uint64_t)(home & FURTHEST) << (64 - HOME_BITS) | (uint64_t)(uintptr_t)record;
}

static int insert(Records *self, PyObject *record) {
    Py_ssize_t mask = self->size - 1, home = place_of(self, KEY(self, record)), place = home;
    if ((uint64_t)(uintptr_t)record >> (64 - HOME_BITS))
        goto unfit;
    while (self->entries[place] != 0) {
        place = (place + 1) & mask;
        if (UNLIKELY(((place - home) & mask) > FURTHEST))
            goto unfit;
    }
    fill(self, &self->entries[place], home, record);
    self->used++;
    return 0;
unfit:
    PyErr_SetString(PyExc_OverflowError, "a record does not fit into its table");
    return -1;
}

static COLD int resize(Records *self, Py_ssize_t size) {
    uint64_t *old = self->entries, *made = PyMem_Calloc(size, sizeof(uint64_t));
    Py_ssize_t index, before = self->size;
    int result = 0;
    if (made == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->entries = made;
    self->size = size;
    self->used = 0;
    for (self->shift = 64; size > 1; size >>= 1)
        self->shift--;
    for (index = 0; index < before; index++)
        if (old[index] != 0 && insert(self, RECORD(old[index])) < 0) {
            Py_DECREF(RECORD(old[index])); /* it is lost to the table, not to the memory */
            result = -1;
        }
    PyMem_Free(old);
    return result;
}

/* Forgets records of tasks that are no more, from a place on; the next place, or 0. */
static COLD Py_ssize_t sweep(Records *self, Py_ssize_t index, Py_ssize_t count) {
    while (count-- > 0 && index < self->size) {
        uint64_t entry = self->entries[index];
        if (entry != 0 && REFERENT(RECORD(entry)) == Py_None)
            records_remove(self, KEY(self, RECORD(entry))); /* another may have moved here: look again */
        else
            index++;
    }
    return index < self->size ? index : 0;
}

/* Makes room for one more. Where each task gets a new address (3.13), most records are of dead ones: a table
 * that is not too large to be looked through at once is cleared of those before it grows. */
static COLD int make_room(Records *self) {
    if (self->by == offsetof(Fields, key) && self->size <= SWEPT) {
        sweep(self, 0, 2 * self->size);
        if (self->used * 2 < self->size)
            return 0;
    }
    return resize(self, self->size ? self->size * 2 : LEAST);
}

int records_put(Records *self, PyObject *record) {
    uint64_t *entry = find(self, KEY(self, record));
    if (entry != NULL) {
        PyObject *old = RECORD(*entry);
        Py_INCREF(record);
        fill(self, entry, place_of(self, KEY(self, record)), record);
        Py_DECREF(old);
        return 0;
    }
    if (self->used * 5 >= self->size * 4) {
        if (make_room(self) < 0)
            return -1;
        if (find(self, KEY(self, record)) != NULL) /* what went meanwhile may have run code that put it in */
            return records_put(self, record);
    }
    if (insert(self, record) < 0)
        return -1;
    Py_INCREF(record);
    return 0;
}

void records_remove(Records *self, int64_t key) {
    uint64_t *entry = find(self, key);
    PyObject *old;
    Py_ssize_t mask = self->size - 1, hole, place;
    if (entry == NULL)
        return;
    old = RECORD(*entry);
    hole = entry - self->entries;
    for (place = (hole + 1) & mask; self->entries[place] != 0; place = (place + 1) & mask)
        if (((place - HOME(self->entries[place])) & mask & FURTHEST) >= ((place - hole) & mask)) {
            self->entries[hole] = self->entries[place];
            hole = place;
        }
    self->entries[hole] = 0;
    self->used--;
    Py_DECREF(old);
}

static PyObject *records_clear(PyObject *op, PyObject *unused) {
    Records *self = (Records *)op;
    uint64_t *old = self->entries;
    Py_ssize_t index, size = self->size;
    self->entries = NULL;
    self->used = self->size = 0;
    for (index = 0; index < size; index++)
        if (old[index] != 0) {
            if (self->by == offsetof(Fields, key))
                FIELDS(RECORD(old[index]))->key = 0; /* a step that runs now has it, and does not count for it any more */
            Py_DECREF(RECORD(old[index]));
        }
    PyMem_Free(old);
    Py_RETURN_NONE;
}

static void records_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject *nothing = records_clear(op, NULL);
    Py_XDECREF(nothing);
    release(op);
    Py_DECREF(type);
}

static PyObject *records_values(PyObject *op, PyObject *unused) {
    Records *self = (Records *)op;
    Py_ssize_t index, count = 0;
    /* Making the list may collect garbage, and with it tasks; but no record is put or removed by that. */
    PyObject *list = PyList_New(self->used);
    if (list == NULL)
        return NULL;
    for (index = 0; index < self->size && count < PyList_Size(list); index++)
        if (self->entries[index] != 0) {
            Py_INCREF(RECORD(self->entries[index]));
            PyList_SetItem(list, count++, RECORD(self->entries[index]));
        }
    if (count < PyList_Size(list) && PyList_SetSlice(list, count, PyList_Size(list), NULL) < 0) {
        Py_DECREF(list);
        return NULL;
    }
    return list;
}

/* keys(most): those of so many records, or of all, as bytes, 8 each. A list of very many records would be slow to make and to drop, and
 * while it is young each collection of garbage passes over all of them. */
static PyObject *records_keys(PyObject *op, PyObject *args) {
    Records *self = (Records *)op;
    Py_ssize_t index, count = 0, most = -1;
    PyObject *keys;
    int64_t *key;
    if (!PyArg_ParseTuple(args, "|n", &most))
        return NULL;
    if (most < 0 || most > self->used)
        most = self->used;
    if ((keys = PyBytes_FromStringAndSize(NULL, most * sizeof(int64_t))) == NULL)
        return NULL;
    key = (int64_t *)PyBytes_AsString(keys);
    for (index = 0; index < self->size && count < most; index++)
        if (self->entries[index] != 0)
            key[count++] = KEY(self, RECORD(self->entries[index]));
    return keys;
}

/* some(keys, start, count): the records of a part of such keys, as a list; those that are no more are left out. */
static PyObject *records_some(PyObject *op, PyObject *args) {
    Records *self = (Records *)op;
    PyObject *keys, *list;
    Py_ssize_t start, count, end, found = 0;
    if (!PyArg_ParseTuple(args, "Snn", &keys, &start, &count))
        return NULL;
    end = PyBytes_Size(keys) / (Py_ssize_t)sizeof(int64_t);
    if (start < 0 || start > end || count < 0) {
        PyErr_SetString(PyExc_IndexError, "there are no such keys");
        return NULL;
    }
    count = count < end - start ? count : end - start;
    if ((list = PyList_New(count)) == NULL)
        return NULL;
    for (end = start + count; start < end; start++) {
        uint64_t *entry = find(self, ((int64_t *)PyBytes_AsString(keys))[start]);
        if (entry != NULL) {
            Py_INCREF(RECORD(*entry));
            PyList_SetItem(list, found++, RECORD(*entry));
        }
    }
    if (found < count && PyList_SetSlice(list, found, count, NULL) < 0) {
        Py_DECREF(list);
        return NULL;
    }
    return list;
}

/* prune(start, count): forgets records of tasks that are no more, in a part of the table; the next start, or 0. */
static PyObject *records_prune(PyObject *op, PyObject *args) {
    Records *self = (Records *)op;
    Py_ssize_t start, count;
    if (!PyArg_ParseTuple(args, "nn", &start, &count))
        return NULL;
    return PyLong_FromSsize_t(sweep(self, start < 0 ? 0 : start, count));
}

static int key_of(PyObject *object, int64_t *key) {
    *key = PyLong_AsLongLong(object);
    return *key == -1 && PyErr_Occurred() ? -1 : 0;
}

/* take(count): removes and returns that many records, each call from where the last one ended, so that all get their turn. */
static PyObject *records_take(PyObject *op, PyObject *number) {
    Records *self = (Records *)op;
    Py_ssize_t count = PyLong_AsSsize_t(number), looked, most;
    PyObject *list = count == -1 && PyErr_Occurred() ? NULL : PyList_New(0);
    most = self->size;
    for (looked = 0; list != NULL && looked < most && PyList_Size(list) < count && self->used; looked++) {
        PyObject *record;
        if (self->next >= self->size)
            self->next = 0;
        record = RECORD(self->entries[self->next]);
        if (record == NULL) {
            self->next++;
            continue;
        }
        Py_INCREF(record);
        if (PyList_Append(list, record) < 0)
            Py_CLEAR(list);
        else
            records_remove(self, KEY(self, record)); /* another may have moved here: look again */
        Py_DECREF(record);
    }
    if (list != NULL && self->size > SWEPT && self->used < self->size / 8 && resize(self, self->size / 4) < 0)
        PyErr_Clear(); /* without memory for that it stays as large */
    return list;
}

/* part(start, count): the records in a part of the table, and the next start, or 0. */
static PyObject *records_part(PyObject *op, PyObject *args) {
    Records *self = (Records *)op;
    Py_ssize_t index, end, count;
    PyObject *list;
    if (!PyArg_ParseTuple(args, "nn", &index, &count) || (list = PyList_New(0)) == NULL)
        return NULL;
    end = count < self->size - index ? index + count : self->size;
    for (; index >= 0 && index < end && index < self->size; index++)
        if (self->entries[index] != 0 && PyList_Append(list, RECORD(self->entries[index])) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    return Py_BuildValue("(Nn)", list, index < self->size ? index : (Py_ssize_t)0);
}

static int records_contains(PyObject *op, PyObject *key_object) {
    int64_t key;
    if (key_of(key_object, &key) == 0)
        return find((Records *)op, key) != NULL;
    if (!PyErr_ExceptionMatches(PyExc_OverflowError)) /* a viewer may ask for any number */
        return -1;
    PyErr_Clear();
    return 0;
}

static PyObject *records_get(PyObject *op, PyObject *key_object) {
    int64_t key;
    uint64_t *entry;
    PyObject *found;
    if (key_of(key_object, &key) < 0)
        return NULL;
    entry = find((Records *)op, key);
    found = entry == NULL ? Py_None : RECORD(*entry);
    Py_INCREF(found);
    return found;
}

static Py_ssize_t records_length(PyObject *op) { return ((Records *)op)->used; }

static PyObject *records_item(PyObject *op, PyObject *key_object) {
    PyObject *found = records_get(op, key_object);
    if (found == Py_None) {
        Py_DECREF(found);
        PyErr_SetObject(PyExc_KeyError, key_object);
        return NULL;
    }
    return found;
}

static int records_set_item(PyObject *op, PyObject *key_object, PyObject *record) {
    int64_t key;
    if (key_of(key_object, &key) < 0)
        return -1;
    if (record == NULL) {
        if (find((Records *)op, key) == NULL) {
            PyErr_SetObject(PyExc_KeyError, key_object);
            return -1;
        }
        records_remove((Records *)op, key);
        return 0;
    }
    if (!PyObject_TypeCheck(record, ((Records *)op)->holds)) {
        PyErr_SetString(PyExc_TypeError, "a TaskRecord is expected");
        return -1;
    }
    if (KEY((Records *)op, record) != key) {
        PyErr_SetString(PyExc_ValueError, "that is not the key of the record");
        return -1;
    }
    return records_put((Records *)op, record);
}

static PyObject *records_pop(PyObject *op, PyObject *args) {
    PyObject *key_object, *otherwise = Py_None, *found;
    int64_t key;
    if (!PyArg_ParseTuple(args, "O|O", &key_object, &otherwise) || key_of(key_object, &key) < 0)
        return NULL;
    found = records_get(op, key_object);
    if (found == NULL || found == Py_None) {
        Py_XDECREF(found);
        Py_INCREF(otherwise);
        return otherwise;
    }
    records_remove((Records *)op, key);
    return found;
}

static int records_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    Records *self = (Records *)op;
    int by_id = 0;
    if (!PyArg_ParseTuple(args, "O!|p", &PyType_Type, &self->holds, &by_id)) /* the state keeps the type */
        return -1;
    self->by = by_id ? offsetof(Fields, id) : offsetof(Fields, key);
    return 0;
}

static PyObject *records_sizeof(PyObject *op, PyObject *unused) {
    return PyLong_FromSize_t(sizeof(Records) + (size_t)((Records *)op)->size * sizeof(uint64_t));
}

static PyMethodDef records_methods[] = {
    {"__sizeof__", records_sizeof, METH_NOARGS, "Bytes of the table."},
    {"get", records_get, METH_O, "The record by the id of a task, or None."},
    {"pop", records_pop, METH_VARARGS, "Removes a record and returns it."},
    {"values", records_values, METH_NOARGS, "All records, as a list."},
    {"keys", records_keys, METH_VARARGS, "The keys of so many records, or of all, as bytes."},
    {"some", records_some, METH_VARARGS, "The records of a part of such keys, as a list."},
    {"take", records_take, METH_O, "Removes and returns so many records, in turn."},
    {"part", records_part, METH_VARARGS, "The records in a part of the table, and where the next part begins, or 0."},
    {"prune", records_prune, METH_VARARGS, "Forgets records of tasks that are no more, in a part of the table."},
    {"clear", records_clear, METH_NOARGS, "Forgets all."},
    {NULL},
};
static PyType_Slot records_slots[] = {
    {Py_tp_doc, "Records by the address of their task, or by their own number."},
    {Py_tp_init, records_init},
    {Py_tp_dealloc, records_dealloc},
    {Py_tp_methods, records_methods},
    {Py_mp_length, records_length},
    {Py_sq_contains, records_contains},
    {Py_mp_subscript, records_item},
    {Py_mp_ass_subscript, records_set_item},
    {0, NULL},
};
PyType_Spec records_spec = {
    .name = "probes.hooks._native.Records",
    .basicsize = sizeof(Records),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = records_slots,
};

/* Changed: a ring that grows to a bound, and shrinks again after a burst. */

#define KEPT 4096

static int changed_resize(Changed *self, Py_ssize_t size) {
    PyObject **made = PyMem_Malloc(size * sizeof(PyObject *));
    Py_ssize_t index;
    if (made == NULL)
        return -1;
    for (index = 0; index < self->used; index++)
        made[index] = self->ring[(self->first + index) % self->size];
    PyMem_Free(self->ring);
    self->ring = made;
    self->size = size;
    self->first = 0;
    return 0;
}

int changed_append(Changed *self, PyObject *record) {
    if (UNLIKELY(self->used == self->size)) {
        Py_ssize_t size = self->size ? self->size * 2 : 64;
        if (self->used >= self->most)
            return 0;
        if (changed_resize(self, size < self->most ? size : self->most) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    Py_INCREF(record);
    self->ring[(self->first + self->used++) % self->size] = record;
    return 1;
}

static PyObject *changed_append_method(PyObject *op, PyObject *record) {
    int added = changed_append((Changed *)op, record);
    return added < 0 ? NULL : PyBool_FromLong(added);
}

static PyObject *changed_popleft(PyObject *op, PyObject *unused) {
    Changed *self = (Changed *)op;
    PyObject *record;
    if (self->used == 0) {
        PyErr_SetString(PyExc_IndexError, "nothing has changed");
        return NULL;
    }
    record = self->ring[self->first];
    self->first = (self->first + 1) % self->size;
    self->used--;
    if (UNLIKELY(self->size > KEPT && self->used < self->size / 8))
        changed_resize(self, self->size / 4); /* without memory for that it stays as large */
    return record;
}

static PyObject *changed_clear(PyObject *op, PyObject *unused) {
    Changed *self = (Changed *)op;
    PyObject **ring = self->ring;
    Py_ssize_t index, first = self->first, used = self->used, size = self->size;
    self->ring = NULL;
    self->first = self->used = self->size = 0;
    for (index = 0; index < used; index++)
        Py_DECREF(ring[(first + index) % size]);
    PyMem_Free(ring);
    Py_RETURN_NONE;
}

static void changed_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject *nothing = changed_clear(op, NULL);
    Py_XDECREF(nothing);
    release(op);
    Py_DECREF(type);
}

static Py_ssize_t changed_length(PyObject *op) { return ((Changed *)op)->used; }

static int changed_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    return PyArg_ParseTuple(args, "n", &((Changed *)op)->most) ? 0 : -1;
}

static PyMethodDef changed_methods[] = {
    {"append", changed_append_method, METH_O, "Adds a record; False when there is no room."},
    {"popleft", changed_popleft, METH_NOARGS, "Takes the oldest out."},
    {"clear", changed_clear, METH_NOARGS, "Forgets all."},
    {NULL},
};
static PyType_Slot changed_slots[] = {
    {Py_tp_doc, "Records that changed since the sampler looked, at most so many."},
    {Py_tp_init, changed_init},
    {Py_tp_dealloc, changed_dealloc},
    {Py_tp_methods, changed_methods},
    {Py_sq_length, changed_length},
    {0, NULL},
};
PyType_Spec changed_spec = {
    .name = "probes.hooks._native.Changed",
    .basicsize = sizeof(Changed),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = changed_slots,
};

/* SiteAggregates */

static Py_ssize_t entry_place(SiteAggregates *self, PyObject *code, int32_t lasti) {
    uint64_t key = (uint64_t)(uintptr_t)code + (uint64_t)(uint32_t)lasti * UINT64_C(0x9E3779B1);
    return (Py_ssize_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (self->size - 1);
}

static SiteEntry *entry_find(SiteAggregates *self, PyObject *code, int32_t lasti) {
    Py_ssize_t place;
    if (self->size == 0)
        return NULL;
    for (place = entry_place(self, code, lasti); self->entries[place].code != NULL; place = (place + 1) & (self->size - 1))
        if (self->entries[place].code == code && self->entries[place].lasti == lasti)
            return &self->entries[place];
    return NULL;
}

SiteCounts *aggregates_find(SiteAggregates *self, PyObject *code, int32_t lasti) {
    SiteEntry *entry = code == NULL ? NULL : entry_find(self, code, lasti);
    return entry == NULL ? NULL : entry->counts;
}

static void entry_insert(SiteAggregates *self, SiteEntry entry) {
    Py_ssize_t place = entry_place(self, entry.code, entry.lasti);
    while (self->entries[place].code != NULL)
        place = (place + 1) & (self->size - 1);
    self->entries[place] = entry;
    self->used++;
}

static PyObject *aggregates_put(PyObject *op, PyObject *args) {
    SiteAggregates *self = (SiteAggregates *)op;
    PyObject *code, *counts;
    int lasti;
    SiteEntry *found, entry;
    if (!PyArg_ParseTuple(args, "OiO!", &code, &lasti, self->holds, &counts))
        return NULL;
    found = entry_find(self, code, lasti);
    if (found == NULL && self->used * 2 >= self->size) {
        SiteEntry *old = self->entries, *made;
        Py_ssize_t index, before = self->size, size = before ? before * 2 : 64;
        made = PyMem_Calloc(size, sizeof(SiteEntry));
        if (made == NULL)
            return PyErr_NoMemory();
        self->entries = made;
        self->size = size;
        self->used = 0;
        for (index = 0; index < before; index++)
            if (old[index].code != NULL)
                entry_insert(self, old[index]);
        PyMem_Free(old);
    }
    Py_INCREF(counts);
    if (found != NULL) {
        SiteCounts *before = found->counts;
        found->counts = (SiteCounts *)counts;
        Py_DECREF(before);
    } else {
        Py_INCREF(code);
        entry = (SiteEntry){code, lasti, (SiteCounts *)counts};
        entry_insert(self, entry);
    }
    Py_RETURN_NONE;
}

static PyObject *aggregates_values(PyObject *op, PyObject *unused) {
    SiteAggregates *self = (SiteAggregates *)op;
    PyObject *list = PyList_New(0);
    Py_ssize_t index;
    for (index = 0; list != NULL && index < self->size; index++)
        if (self->entries[index].code != NULL && PyList_Append(list, (PyObject *)self->entries[index].counts) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    return list;
}

static PyObject *aggregates_get(PyObject *op, PyObject *args) {
    PyObject *code, *found;
    int lasti;
    if (!PyArg_ParseTuple(args, "Oi", &code, &lasti))
        return NULL;
    found = (PyObject *)aggregates_find((SiteAggregates *)op, code, lasti);
    if (found == NULL)
        found = Py_None;
    Py_INCREF(found);
    return found;
}

static PyObject *aggregates_clear(PyObject *op, PyObject *unused) {
    SiteAggregates *self = (SiteAggregates *)op;
    SiteEntry *old = self->entries;
    Py_ssize_t index, size = self->size;
    self->entries = NULL;
    self->used = self->size = 0;
    for (index = 0; index < size; index++)
        if (old[index].code != NULL) {
            Py_DECREF(old[index].code);
            Py_DECREF((PyObject *)old[index].counts);
        }
    PyMem_Free(old);
    Py_RETURN_NONE;
}

static void aggregates_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    PyObject *nothing = aggregates_clear(op, NULL);
    Py_XDECREF(nothing);
    release(op);
    Py_DECREF(type);
}

static Py_ssize_t aggregates_length(PyObject *op) { return ((SiteAggregates *)op)->used; }

static int aggregates_init(PyObject *op, PyObject *args, PyObject *kwargs) {
    SiteAggregates *self = (SiteAggregates *)op;
    return PyArg_ParseTuple(args, "O!", &PyType_Type, &self->holds) ? 0 : -1; /* the state keeps the type */
}

static PyMethodDef aggregates_methods[] = {
    {"put", aggregates_put, METH_VARARGS, "The counts of a creation site: code, instruction, counts."},
    {"get", aggregates_get, METH_VARARGS, "The counts of a creation site, or None."},
    {"values", aggregates_values, METH_NOARGS, "All counts, as a list."},
    {"clear", aggregates_clear, METH_NOARGS, "Forgets all."},
    {NULL},
};
static PyType_Slot aggregates_slots[] = {
    {Py_tp_doc, "Counts of the creation sites that the sampler knows."},
    {Py_tp_init, aggregates_init},
    {Py_tp_dealloc, aggregates_dealloc},
    {Py_tp_methods, aggregates_methods},
    {Py_sq_length, aggregates_length},
    {0, NULL},
};
PyType_Spec aggregates_spec = {
    .name = "probes.hooks._native.SiteAggregates",
    .basicsize = sizeof(SiteAggregates),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = aggregates_slots,
};

/* A task that was born and has ended between two looks of the sampler. */
void counts_add(SiteCounts *self, Fields *fields) {
    self->born++;
    self->ended++;
    self->cancelled += fields->outcome == CANCELLED;
    self->failed += fields->outcome == FAILED;
    self->busy += fields->busy;
    self->steps += fields->steps;
    self->unreported++;
}
