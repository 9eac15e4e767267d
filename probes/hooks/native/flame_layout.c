/* Where this interpreter keeps what the sampler reads: learnt by looking for known values, and checked against two
 * frames. A Python that is laid out otherwise is refused.
 */
#include "sampler.h"

#ifdef __linux__
#define PROBED 512 /* bytes of a thread state that are looked through */

static int is_frame(Sampler *self, uintptr_t address, PyObject *code, int lasti, uintptr_t *previous) {
    uintptr_t words[FRAME_WORDS];
    if (address == 0 || address % 8 || safe_read(self, address, words, sizeof(words)) < 0 ||
        untagged(words[self->frame_code / 8]) != (uintptr_t)code ||
        (int64_t)(words[self->frame_instruction / 8] - (uintptr_t)code - (uintptr_t)self->code_start) != lasti)
        return 0;
    *previous = words[self->frame_previous / 8];
    return 1;
}

/* The frame that calls, and the one that called that. */
static int learn_frames(Sampler *self) {
    static const Py_ssize_t layouts[][3] = {{0, 8, 56}, {32, 48, 56}};
    PyFrameObject *frame = (PyFrameObject *)PyEval_GetFrame(), *back = frame == NULL ? NULL : PyFrame_GetBack(frame);
    PyObject *inner = frame == NULL ? NULL : (PyObject *)PyFrame_GetCode(frame);
    PyObject *outer = back == NULL ? NULL : (PyObject *)PyFrame_GetCode(back);
    uintptr_t thread = (uintptr_t)PyThreadState_Get(), ident = (uintptr_t)PyThread_get_thread_ident();
    uintptr_t word, through, previous;
    Py_ssize_t offset;
    int layout, via, found = 0;
    self->thread_id = -1;
    for (offset = 0; offset < PROBED && self->thread_id < 0; offset += 8)
        if (read_word(self, thread + (uintptr_t)offset, &word) == 0 && word == ident)
            self->thread_id = offset;
    for (layout = 0; outer != NULL && layout < 2 && !found; layout++) {
        self->frame_code = layouts[layout][0];
        self->frame_previous = layouts[layout][1];
        self->frame_instruction = layouts[layout][2];
        for (offset = 0; offset < PROBED && !found; offset += 8) {
            if (read_word(self, thread + (uintptr_t)offset, &word) < 0)
                break;
            for (via = -1; via <= 8 && !found; via += via < 0 ? 1 : 8) {
                through = word;
                if (via >= 0 && (word == 0 || word % 8 || read_word(self, word + (uintptr_t)via, &through) < 0))
                    break;
                if (is_frame(self, through, inner, PyFrame_GetLasti(frame), &previous) &&
                    is_frame(self, previous, outer, PyFrame_GetLasti(back), &previous)) {
                    self->current = offset;
                    self->via = via;
                    found = 1;
                }
            }
        }
    }
    Py_XDECREF(inner);
    Py_XDECREF(outer);
    Py_XDECREF((PyObject *)back);
    return found && self->thread_id >= 0 ? 0 : -1;
}

/* Where all of some code objects have a pointer to what an attribute of theirs is. */
static Py_ssize_t place_in_codes(PyObject *codes, const char *name, int is_number) {
    Py_ssize_t offset, index, step = is_number ? 4 : 8;
    for (offset = 16; offset < CODE_WORDS * 8; offset += step) {
        for (index = 0; index < PyTuple_Size(codes); index++) {
            PyObject *code = PyTuple_GetItem(codes, index), *value = PyObject_GetAttrString(code, name);
            int same = value != NULL && (is_number ? *(int32_t *)((char *)code + offset) == PyLong_AsLong(value)
                                                   : *(PyObject **)((char *)code + offset) == value);
            Py_XDECREF(value);
            PyErr_Clear();
            if (!same)
                break;
        }
        if (index == PyTuple_Size(codes))
            return offset;
    }
    return -1;
}

static int learn_codes(Sampler *self, PyObject *codes) {
    PyTypeObject *type = PyTuple_Size(codes) > 0 ? Py_TYPE(PyTuple_GetItem(codes, 0)) : Py_TYPE(codes);
    PyObject *size = PyObject_GetAttrString((PyObject *)type, "__basicsize__");
    self->code_type = (uintptr_t)type;
    self->code_start = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    if (self->code_start < 64 || self->code_start > CODE_WORDS * 8)
        return -1;
    self->code_filename = place_in_codes(codes, "co_filename", 0);
    self->code_qualname = place_in_codes(codes, "co_qualname", 0);
    self->code_table = place_in_codes(codes, "co_linetable", 0);
    self->code_line = place_in_codes(codes, "co_firstlineno", 1);
    return self->code_filename < 0 || self->code_qualname < 0 || self->code_table < 0 || self->code_line < 0 ? -1 : 0;
}

static int learn_strings(Sampler *self) {
    static const int shifts[] = {2, 16};
    static const uint16_t wide[] = {0x3a9, 0x3b1, 0x3b2};
    PyObject *plain = PyUnicode_FromString("plain text"), *other = PyUnicode_FromString("\xce\xa9\xce\xb1\xce\xb2");
    PyObject *bytes = PyBytes_FromString("bytes");
    Py_ssize_t offset, result = -1;
    size_t index;
    self->ascii_data = self->wide_data = self->kind_shift = -1;
    for (offset = 32; plain != NULL && offset < 64 && self->ascii_data < 0; offset += 8)
        if (memcmp((char *)plain + offset, "plain text", 11) == 0)
            self->ascii_data = offset;
    for (offset = 32; other != NULL && offset < 80 && self->wide_data < 0; offset += 8)
        if (memcmp((char *)other + offset, wide, sizeof(wide)) == 0)
            self->wide_data = offset;
    for (index = 0; plain != NULL && other != NULL && index < 2; index++) {
        uint32_t one = *(uint32_t *)((char *)plain + 32), two = *(uint32_t *)((char *)other + 32);
        if ((one >> shifts[index] & 31) == (1 | 8 | 16) && (two >> shifts[index] & 31) == (2 | 8))
            self->kind_shift = shifts[index];
    }
    if (bytes != NULL && memcmp((char *)bytes + 32, "bytes", 6) == 0 && self->ascii_data > 0 && self->wide_data > 0 &&
        self->kind_shift > 0)
        result = 0;
    Py_XDECREF(plain);
    Py_XDECREF(other);
    Py_XDECREF(bytes);
    return (int)result;
}

/* Where a task has its coroutine, and a coroutine that was not started its frame. */
static int learn_tasks(Sampler *self, PyObject *task, PyObject *coro) {
    PyObject *of_task = PyObject_CallMethod(task, "get_coro", NULL), *size, *code;
    uintptr_t word, previous;
    Py_ssize_t offset, most;
    self->task_coro = self->coro_frame = -1;
    size = PyObject_GetAttrString((PyObject *)Py_TYPE(task), "__basicsize__");
    most = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    for (offset = 16; of_task != NULL && offset < most && self->task_coro < 0; offset += 8)
        if (read_word(self, (uintptr_t)task + (uintptr_t)offset, &word) == 0 && word == (uintptr_t)of_task)
            self->task_coro = offset;
    Py_XDECREF(of_task);
    code = PyObject_GetAttrString(coro, "cr_code");
    for (offset = 16; code != NULL && offset < PROBED && self->coro_frame < 0; offset += 8) {
        int64_t at;
        if (safe_read(self, (uintptr_t)coro + (uintptr_t)offset, self->scratch, FRAME_WORDS * 8) < 0)
            break;
        at = (int64_t)(self->scratch[self->frame_instruction / 8] - (uintptr_t)code - (uintptr_t)self->code_start);
        previous = self->scratch[self->frame_previous / 8];
        if (untagged(self->scratch[self->frame_code / 8]) == (uintptr_t)code && previous == 0 && at >= -2 && at <= 64)
            self->coro_frame = offset;
    }
    Py_XDECREF(code);
    return self->task_coro < 0 || self->coro_frame < 0 ? -1 : 0;
}

/* Where a frame has its variables: the first of the function that calls is the coroutine that it passes. */
static int learn_variables(Sampler *self, PyObject *coro) {
    uintptr_t frame, word;
    if (innermost_frame(self, (uintptr_t)PyThreadState_Get(), &frame) < 0)
        return -1;
    for (self->variables = FRAME_WORDS * 8; self->variables < FRAME_WORDS * 8 + 32; self->variables += 8)
        if (read_word(self, frame + (uintptr_t)self->variables, &word) == 0 && untagged(word) == (uintptr_t)coro)
            return 0;
    return -1;
}

/* Learns all of it. Returns -1 with an error that says what is not where it is known. */
int learn_layout(Sampler *self, PyObject *codes, PyObject *task, PyObject *coro) {
    const char *unknown = NULL;
    if (PyInterpreterState_ThreadHead == NULL || PyThreadState_Next == NULL || PyThread_get_thread_ident == NULL)
        unknown = "threads";
    else if (learn_codes(self, codes) < 0)
        unknown = "code objects";
    else if (learn_strings(self) < 0)
        unknown = "strings";
    else if (learn_frames(self) < 0)
        unknown = "frames";
    else if ((void *)&PyCoro_Type == NULL || (void *)&PyGen_Type == NULL || learn_tasks(self, task, coro) < 0 ||
             learn_variables(self, coro) < 0)
        unknown = "coroutines";
    if (unknown != NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_NotImplementedError, "this Python keeps its %s where it is not known", unknown);
    return unknown == NULL ? 0 : -1;
}
#endif
