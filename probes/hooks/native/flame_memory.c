/* The memory of this very process, read through the kernel: an address that has gone is an error, never a fault. */
#include "sampler.h"

#ifdef __linux__
#define BLOCK 2048 /* bytes that are read at once while callers are followed */

int safe_read(Sampler *self, uintptr_t address, void *into, size_t size) {
    if (self->memory >= 0)
        return pread(self->memory, into, size, (off_t)address) == (ssize_t)size ? 0 : -1;
    struct iovec here = {into, size}, there = {(void *)address, size};
    return syscall(SYS_process_vm_readv, self->pid, &here, 1L, &there, 1L, 0L) == (long)size ? 0 : -1;
}

/* Reads several places, in that order and with one call if that can be. */
int read_all(Sampler *self, const struct iovec *into, const struct iovec *from, int count) {
    size_t size = 0;
    int index;
    if (self->memory < 0) {
        for (index = 0; index < count; index++)
            size += into[index].iov_len;
        return syscall(SYS_process_vm_readv, self->pid, into, (long)count, from, (long)count, 0L) == (long)size ? 0 : -1;
    }
    for (index = 0; index < count; index++)
        if (safe_read(self, (uintptr_t)from[index].iov_base, into[index].iov_base, into[index].iov_len) < 0)
            return -1;
    return 0;
}

int read_word(Sampler *self, uintptr_t address, uintptr_t *word) {
    return safe_read(self, address, word, sizeof(*word));
}

/* A string or bytes object as length, with the width of a character in the upper half, and what is in it. */
Py_ssize_t read_text(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header) {
    uintptr_t words[6];
    uint32_t state;
    Py_ssize_t size, data;
    int kind;
    if (safe_read(self, address, words, sizeof(words)) < 0 || words[1] != (uintptr_t)&PyUnicode_Type)
        return -1;
    state = (uint32_t)words[4];
    kind = (int)(state >> self->kind_shift & 7);
    if (kind != 1 && kind != 2 && kind != 4)
        return -1;
    data = state >> self->kind_shift & 16 ? self->ascii_data : self->wide_data;
    size = (Py_ssize_t)words[2] * kind;
    if (size < 0)
        return -1;
    if (size > most)
        size = most;
    if (size > 0 && safe_read(self, address + (uintptr_t)data, into, (size_t)size) < 0)
        return -1;
    *header = (uint64_t)kind << 32 | (uint64_t)size;
    return size;
}

Py_ssize_t read_bytes(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header) {
    uintptr_t words[3];
    Py_ssize_t size;
    if (safe_read(self, address, words, sizeof(words)) < 0 || words[1] != (uintptr_t)&PyBytes_Type)
        return -1;
    size = (Py_ssize_t)words[2];
    if (size < 0)
        return -1;
    if (size > most)
        size = most;
    if (size > 0 && safe_read(self, address + 32, into, (size_t)size) < 0) /* after size and hash */
        return -1;
    *header = (uint64_t)size;
    return size;
}

/* `frame` may be anything where a stack is torn: no sum of it may wrap. */
static int is_in(const Block *block, uintptr_t frame, size_t size) {
    return frame >= block->at && size <= block->size && frame - block->at <= block->size - size;
}

/* One frame, of which `callee` was called. Those of plain calls lie one behind the other, callers at lower addresses, so
 * many are read at once. 1: it was read with the clock. */
int read_frame(Sampler *self, uintptr_t frame, uintptr_t callee, Block *block, uintptr_t *words) {
    const size_t size = FRAME_WORDS * sizeof(*words);
    if (!is_in(block, frame, size)) {
        if (frame >= callee || callee - frame > BLOCK)
            return safe_read(self, frame, words, size);
        block->is_of_now = 0;
        block->at = frame + size - BLOCK;
        block->size = BLOCK;
        if (safe_read(self, block->at, block->bytes, BLOCK) < 0) {
            block->size = 0;
            return safe_read(self, frame, words, size);
        }
    }
    memcpy(words, block->bytes + (frame - block->at), size);
    return block->is_of_now;
}

int innermost_frame(Sampler *self, uintptr_t thread_state, uintptr_t *frame) {
    return read_word(self, thread_state + (uintptr_t)self->current, frame) < 0 ||
                   (self->via >= 0 && read_word(self, *frame + (uintptr_t)self->via, frame) < 0)
               ? -1
               : 0;
}

int open_memory(Sampler *self, int filtered) {
    long probe = 42, seen = 0;
    self->memory = -1;
    if (filtered) /* a filter may kill for a call that it does not list: a file is read by calls that every program makes */
        self->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if ((filtered && self->memory < 0) || safe_read(self, (uintptr_t)&probe, &seen, sizeof(seen)) < 0 || seen != probe) {
        PyErr_Format(PyExc_PermissionError, "this program may not read its own memory through %s",
                     filtered ? "/proc/self/mem" : "process_vm_readv");
        return -1;
    }
    return 0;
}
#endif
