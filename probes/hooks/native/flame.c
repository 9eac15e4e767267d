/* Samples of what the threads of loops run, for flame graphs: taken by a thread that never asks for the GIL.
 *
 * A sampler that takes the GIL finds the program where it lets go of it. This one reads the interpreter's frames while
 * they change. It reads all memory but its own through the kernel (`process_vm_readv` of this very process, or
 * /proc/self/mem where a seccomp filter is on): an address that has gone is an error there, never a fault. No object
 * is touched, and names are copied the first time that a code object is seen.
 *
 * Where the interpreter keeps what is learnt by looking for known values, and checked against two frames; a Python
 * that is laid out otherwise is refused.
 *
 * A sample belongs to what ran when it was taken: one read shows the record of the task that runs, the innermost frame,
 * and the frames above that of the loop. The rest is read afterwards, and may be gone by then, for a step takes
 * microseconds. A frame is linked to its caller after it is pushed, and what is behind a pointer that is not set yet is
 * often an old frame. So a chain counts if it passes the coroutine of that task, or ends where the thread's does. Of any
 * other the frames of the first read are kept, under the coroutine: no sample of a task is dropped.
 */
#include "hooks.h"

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

BEYOND PyThreadState *PyInterpreterState_ThreadHead(PyInterpreterState *interpreter);
BEYOND PyThreadState *PyThreadState_Next(PyThreadState *thread);
BEYOND unsigned long PyThread_get_thread_ident(void);

#define MOST_LOOPS 16
#define MOST_WORKERS 64
#define INNERMOST 120 /* frames that are kept of one sample */
#define OUTERMOST 60
#define MOST_WALKED 100000
#define ROOM 65536       /* words of one buffer */
#define CODES 8192       /* remembered by address; a power of two */
#define MOST_STRING 1024 /* bytes */
#define MOST_TABLE 16384
#define FRAME_WORDS 9
#define CODE_WORDS 32
#define BLOCK 2048 /* bytes that are read at once while callers are followed */
#define ABOVE 4096 /* bytes above the frame of the loop that are read with its clock: about 20 frames */
#define PIECES 6   /* of one read */
#define MOST_RECORD 512
#define TRIES 3
#define PROBED 512 /* bytes of a thread state that are looked through */
#define STOPS 8
#define SLOTS_OF_CODES 512 /* a power of two, more than twice the frames of a sample */

typedef struct {
    int64_t id;
    uintptr_t clock, thread_state, base; /* base: the outermost frame of its thread */
    uint64_t thread;
    int clocked; /* the hooks see all of its callbacks */
    /* What the last sample met, and the next expects: */
    uintptr_t through; /* where the pointer to the innermost frame is, if that is behind another pointer */
    uintptr_t floor;   /* the frame of the loop */
    size_t above;      /* bytes that can be read from there on */
} Loop;

/* A thread of an executor. */
typedef struct {
    uint64_t thread;
    uintptr_t thread_state;
} Worker;

/* The function of an executor that runs a job, and which of its variables tells one job from another. */
typedef struct {
    uintptr_t code;
    Py_ssize_t variable;
} JobFrame;

typedef struct {
    uintptr_t code, filename, qualname, table;
    uint32_t line, number;
} Code;

typedef struct {
    uint64_t *words;
    Py_ssize_t used;
} Buffer;

typedef struct {
    uintptr_t code, instruction, at;
} Frame;

typedef struct {
    uintptr_t at;
    size_t size;  /* 0: nothing is in it */
    int is_of_now; /* it was read with the clock */
    char bytes[ABOVE];
} Block;

/* The first fields of a LoopClock behind those of any object. */
typedef struct {
    double started;
    uintptr_t record;
} Published;

/* What one read shows of a loop. */
typedef struct {
    Published now, then; /* before and after the rest */
    uintptr_t thread, frame;
} Moment;

/* The task whose step a moment shows. */
typedef struct {
    Fields fields;
    uintptr_t coro, coroutine; /* its coroutine, and the frame of that; 0: it has none that is known */
    int64_t group;
    int is_known, lives;
} Owner;

/* A stack. Of a deep one the frames in the middle are left out. */
typedef struct {
    Frame inner[INNERMOST], outer[OUTERMOST]; /* `outer` is a ring */
    int64_t count, walked;
    uintptr_t last, job, loop; /* loop: the frame of the loop; 0: not reached */
    int sure, gap; /* innermost frames that were read with the clock; after how many some were not read, or -1 */
} Chain;

enum { SAMPLE = 1, CODE = 2, IDLE = 3 };
enum { TO_THE_LOOP = 1, TO_THE_ROOT, CUT, OTHER_STACK, JOB, PART };

typedef struct {
    PyObject_HEAD
    State *state;
    PyObject *kept; /* objects whose addresses are used */
    pthread_mutex_t lock;
    Loop loops[MOST_LOOPS];
    Worker workers[MOST_WORKERS];
    JobFrame jobs[STOPS];
    int count, worker_count, job_count, memory, stop_count, greenlets;
    uintptr_t stops[STOPS], code_type;
    /* learnt */
    Py_ssize_t thread_id, current, via, frame_code, frame_previous, frame_instruction;
    Py_ssize_t code_start, code_filename, code_qualname, code_table, code_line;
    Py_ssize_t ascii_data, wide_data, task_coro, coro_frame, variables;
    int kind_shift;
    long pid;
    /* shared with the thread, under the lock */
    Buffer now, other;
    int64_t looks, lost, torn, cpu;
    /* the thread's own */
    Code *codes;
    uint32_t numbers;
    int known;
    Chain chain;
    uint64_t scratch[INNERMOST + OUTERMOST + 1];
    Frame wanted[INNERMOST + OUTERMOST + 1];
    uint64_t code_words[INNERMOST + OUTERMOST + 1][CODE_WORDS];
    uintptr_t distinct[INNERMOST + OUTERMOST + 1];
    uint32_t numbered[INNERMOST + OUTERMOST + 1];
    uint8_t which[INNERMOST + OUTERMOST + 1], slots[SLOTS_OF_CODES]; /* see find_distinct */
    struct iovec into[INNERMOST + OUTERMOST + 1], from[INNERMOST + OUTERMOST + 1];
    char blob[MOST_TABLE];
    Block block;
    uint64_t random;
    double interval;
    int stopped;
} Sampler;

/* Reading */

static int safe_read(Sampler *self, uintptr_t address, void *into, size_t size) {
    if (self->memory >= 0)
        return pread(self->memory, into, size, (off_t)address) == (ssize_t)size ? 0 : -1;
    struct iovec here = {into, size}, there = {(void *)address, size};
    return syscall(SYS_process_vm_readv, self->pid, &here, 1L, &there, 1L, 0L) == (long)size ? 0 : -1;
}

/* Reads several places, in that order and with one call if that can be. */
static int read_all(Sampler *self, const struct iovec *into, const struct iovec *from, int count) {
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

static int read_word(Sampler *self, uintptr_t address, uintptr_t *word) {
    return safe_read(self, address, word, sizeof(*word));
}

static uintptr_t untagged(uint64_t word) { return (uintptr_t)word & ~(uintptr_t)7; }

static int64_t nanoseconds(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Writing */

static uint64_t *room_for(Sampler *self, Py_ssize_t words) {
    uint64_t *at = self->now.words + self->now.used;
    if (self->now.used + words > ROOM) {
        self->lost++;
        return NULL;
    }
    self->now.used += words;
    return at;
}

/* A string or bytes object as length, with the width of a character in the upper half, and what is in it. */
static Py_ssize_t read_text(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header) {
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

static Py_ssize_t read_bytes(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header) {
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

static int write_text(Sampler *self, uintptr_t address, int is_text, Py_ssize_t most) {
    uint64_t header, *at;
    Py_ssize_t size = is_text ? read_text(self, address, self->blob, most, &header)
                              : read_bytes(self, address, self->blob, most, &header);
    Py_ssize_t words = size < 0 ? 0 : (size + 7) / 8;
    if (size < 0 || (at = room_for(self, 1 + words)) == NULL)
        return -1;
    at[0] = header;
    memcpy(at + 1, self->blob, (size_t)size);
    return 0;
}

/* The number of a code object, whose names are written down when it is met for the first time; 0 where it is none.
 * `words` are what was read of it. */
static uint32_t number_of(Sampler *self, uintptr_t address, const uint64_t *words) {
    uint64_t *at;
    Code *code = &self->codes[(address >> 4) & (CODES - 1)], seen;
    Py_ssize_t before = self->now.used;
    if (words[1] != self->code_type)
        return 0;
    seen.code = address;
    seen.filename = *(uintptr_t *)((char *)words + self->code_filename);
    seen.qualname = *(uintptr_t *)((char *)words + self->code_qualname);
    seen.table = *(uintptr_t *)((char *)words + self->code_table);
    seen.line = *(uint32_t *)((char *)words + self->code_line);
    if (code->number && code->code == address && code->filename == seen.filename && code->qualname == seen.qualname &&
        code->table == seen.table && code->line == seen.line)
        return code->number;
    seen.number = self->numbers + 1;
    if ((at = room_for(self, 2)) == NULL)
        return 0;
    at[0] = CODE;
    at[1] = (uint64_t)seen.line << 32 | seen.number;
    if (write_text(self, seen.filename, 1, MOST_STRING) < 0 || write_text(self, seen.qualname, 1, MOST_STRING) < 0 ||
        write_text(self, seen.table, 0, MOST_TABLE) < 0) {
        self->now.used = before;
        return 0;
    }
    self->numbers++;
    *code = seen;
    return seen.number;
}

/* `frame` may be anything where a stack is torn: no sum of it may wrap. */
static int is_in(const Block *block, uintptr_t frame, size_t size) {
    return frame >= block->at && size <= block->size && frame - block->at <= block->size - size;
}

/* One frame, of which `callee` was called. Those of plain calls lie one behind the other, callers at lower addresses, so
 * many are read at once. 1: it was read with the clock. */
static int read_frame(Sampler *self, uintptr_t frame, uintptr_t callee, Block *block, uintptr_t *words) {
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

static int innermost_frame(Sampler *self, uintptr_t thread_state, uintptr_t *frame) {
    return read_word(self, thread_state + (uintptr_t)self->current, frame) < 0 ||
                   (self->via >= 0 && read_word(self, *frame + (uintptr_t)self->via, frame) < 0)
               ? -1
               : 0;
}

/* Reads what a loop runs now, and into the block the frames above that of the loop. */
static int look(Sampler *self, Loop *loop, Moment *moment) {
    Block *block = &self->block;
    uintptr_t current, innermost = 0;
    const uintptr_t clock = loop->clock + offsetof(LoopClock, started);
    const int through = self->via >= 0 && loop->through != 0;
    const struct { uintptr_t from; void *into; size_t size; } parts[PIECES] = {
        {clock, &moment->now, sizeof(moment->now)},
        {loop->thread_state + (uintptr_t)self->thread_id, &moment->thread, sizeof(moment->thread)},
        {loop->thread_state + (uintptr_t)self->current, &current, sizeof(current)},
        {loop->through + (uintptr_t)self->via, &innermost, through ? sizeof(innermost) : 0},
        {loop->floor, block->bytes, loop->above},
        {clock, &moment->then, sizeof(moment->then)},
    };
    struct iovec into[PIECES], from[PIECES];
    int index, count = 0;
    for (index = 0; index < PIECES; index++)
        if (parts[index].size) {
            into[count] = (struct iovec){parts[index].into, parts[index].size};
            from[count++] = (struct iovec){(void *)parts[index].from, parts[index].size};
        }
    block->size = 0;
    if (read_all(self, into, from, count) < 0) {
        if (!loop->above && !through)
            return -1;
        loop->above = loop->above > 512 ? loop->above / 2 : 0;
        loop->through = 0;
        return look(self, loop, moment);
    }
    if (moment->thread != loop->thread)
        return -1;
    block->at = loop->floor;
    block->size = loop->above;
    block->is_of_now = moment->now.started == moment->then.started;
    moment->frame = self->via < 0 ? current : innermost;
    if (self->via >= 0 && (!through || current != loop->through)) {
        block->is_of_now = 0;
        loop->through = current;
        return read_word(self, current + (uintptr_t)self->via, &moment->frame);
    }
    return 0;
}

/* Follows frames, innermost first; returns how far that led, or 0. */
static int walk(Sampler *self, uintptr_t frame, int is_worker) {
    Chain *chain = &self->chain;
    uintptr_t words[FRAME_WORDS], code, callee = 0;
    int index, of_now, steps = 0;
    chain->count = chain->walked = 0;
    chain->last = chain->job = chain->loop = 0;
    chain->sure = 0;
    chain->gap = -1;
    for (; frame != 0; callee = frame, frame = words[self->frame_previous / 8]) {
        Frame *into = chain->count < INNERMOST ? &chain->inner[chain->count]
                                               : &chain->outer[(chain->count - INNERMOST) % OUTERMOST];
        if ((of_now = read_frame(self, frame, callee, &self->block, words)) < 0)
            return 0;
        code = untagged(words[self->frame_code / 8]);
        for (index = 0; !is_worker && index < self->stop_count; index++)
            if (self->stops[index] == code) {
                chain->loop = frame;
                return TO_THE_LOOP;
            }
        for (index = 0; is_worker && index < self->job_count; index++)
            if (self->jobs[index].code == code) {
                uintptr_t at = frame + (uintptr_t)(self->variables + 8 * self->jobs[index].variable);
                return read_word(self, at, &chain->job) < 0 ? 0 : JOB;
            }
        if (++steps > MOST_WALKED)
            return CUT;
        *into = (Frame){code, words[self->frame_instruction / 8], frame};
        chain->sure += of_now && chain->sure == chain->count;
        chain->walked = ++chain->count;
        chain->last = frame;
    }
    return TO_THE_ROOT;
}

/* Cuts off what is below the frame of a coroutine; 0 if that is not among the frames that were kept. */
static int cut_below(Chain *chain, uintptr_t coroutine) {
    int64_t place;
    for (place = chain->walked - 1; place >= 0 && coroutine != 0; place--) {
        if (place >= INNERMOST && place < chain->walked - OUTERMOST)
            place = INNERMOST - 1;
        if ((place < INNERMOST ? &chain->inner[place] : &chain->outer[(place - INNERMOST) % OUTERMOST])->at == coroutine) {
            chain->count = place + 1;
            return 1;
        }
    }
    return 0;
}

/* What a walk is worth that was `how`: 0 for a chain that is torn. `is_same`: what ran at first still does. */
static int judge(Sampler *self, Loop *loop, Owner *owner, int how, int is_same) {
    Chain *chain = &self->chain;
    uintptr_t running;
    if (how == 0)
        return 0;
    if (cut_below(chain, owner->coroutine) && (is_same || owner->lives))
        return TO_THE_LOOP;
    if (!is_same)
        return 0;
    if (how == TO_THE_ROOT && chain->last != loop->base) /* a greenlet has a stack of its own, of which no caller is known */
        return self->greenlets && owner->coroutine != 0 ? OTHER_STACK : 0;
    if (owner->coroutine == 0 || how == CUT || chain->count == 0)
        return how;
    /* A coroutine that has a caller runs. One that has none is about to run, or its task is seeing to what it left. */
    if (read_word(self, owner->coroutine + (uintptr_t)self->frame_previous, &running) < 0 || running != 0)
        return 0;
    chain->count = 0;
    return how;
}

/* The code objects of the frames that are wanted, each once: a page that is read costs more than all else. Says for each
 * frame which one it has. */
static int find_distinct(Sampler *self, int count) {
    int place, found = 0;
    memset(self->slots, 0, sizeof(self->slots));
    for (place = 0; place < count; place++) {
        const uintptr_t code = self->wanted[place].code;
        size_t slot = (size_t)(((uint64_t)code * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
        while (self->slots[slot % SLOTS_OF_CODES] != 0 && self->distinct[self->slots[slot % SLOTS_OF_CODES] - 1] != code)
            slot++;
        if (self->slots[slot % SLOTS_OF_CODES] == 0) {
            self->distinct[found++] = code;
            self->slots[slot % SLOTS_OF_CODES] = (uint8_t)found;
        }
        self->which[place] = (uint8_t)(self->slots[slot % SLOTS_OF_CODES] - 1);
    }
    return found;
}

/* Reads those code objects, all at once if that goes well, and numbers them. What cannot be read is of no type. */
static void read_codes(Sampler *self, int count) {
    const size_t size = sizeof(self->code_words[0]);
    int index;
    for (index = 0; index < count; index++) {
        self->into[index] = (struct iovec){self->code_words[index], size};
        self->from[index] = (struct iovec){(void *)self->distinct[index], size};
    }
    if (read_all(self, self->into, self->from, count) < 0)
        for (index = 0; index < count; index++)
            if (safe_read(self, self->distinct[index], self->code_words[index], size) < 0)
                self->code_words[index][1] = 0;
    for (index = 0; index < count; index++)
        self->numbered[index] = number_of(self, self->distinct[index], self->code_words[index]);
}

/* The frames that were walked, as words; a 0 stands for those that are left out or were not read. After them that of
 * `made`. */
static int write_frames(Sampler *self, int how, const Frame *made, uint64_t *made_word) {
    Chain *chain = &self->chain;
    int64_t index, beyond = chain->count - INNERMOST, lost = chain->walked - INNERMOST - OUTERMOST;
    int64_t first = lost > 0 && beyond > 0 ? lost : 0;
    int count = 0, gap = chain->gap, place, kept = 0;
    for (index = 0; index < chain->count && index < INNERMOST; index++)
        self->wanted[count++] = chain->inner[index];
    if (first > 0 || how == CUT)
        gap = count;
    for (index = first; index < beyond && how != CUT; index++)
        self->wanted[count++] = chain->outer[index % OUTERMOST];
    if (made != NULL)
        self->wanted[count++] = *made;
    read_codes(self, find_distinct(self, count));
    for (place = 0; place < count; place++) {
        Frame *frame = &self->wanted[place];
        uint32_t number = self->numbered[self->which[place]];
        uint64_t offset = frame->instruction - frame->code - (uint64_t)self->code_start;
        uint64_t word = number == 0 ? 0 : (uint64_t)number << 32 | (offset > INT32_MAX ? UINT32_MAX : offset);
        if (place == gap)
            self->scratch[kept++] = 0;
        if (made != NULL && place == count - 1)
            *made_word = word;
        else if (word != 0)
            self->scratch[kept++] = word;
    }
    if (gap == count)
        self->scratch[kept++] = 0;
    return kept;
}

#define HEAD_WORDS 6
static void write_row(Sampler *self, int how, int is_running, uint64_t whose, int64_t elapsed, uint64_t task,
                      uint64_t group, uint64_t made, const Frame *made_at) {
    int kept = write_frames(self, how, made_at, &made);
    uint64_t *at = room_for(self, HEAD_WORDS + kept);
    if (at == NULL)
        return;
    at[0] = SAMPLE | (uint64_t)is_running << 8 | (uint64_t)how << 16 | (uint64_t)kept << 32;
    at[1] = whose;
    at[2] = (uint64_t)elapsed;
    at[3] = task;
    at[4] = group;
    at[5] = made;
    memcpy(at + HEAD_WORDS, self->scratch, (size_t)kept * sizeof(uint64_t));
}

/* Whose step a moment shows, from the record of its task, and where that has its coroutine. */
static void find_owner(Sampler *self, const Moment *moment, Owner *owner) {
    const size_t size = (size_t)fields_offset + sizeof(Fields);
    uint64_t words[MOST_RECORD / 8];
    const char *record = (const char *)words;
    memset(owner, 0, sizeof(*owner));
    if (moment->now.record == 0 || size > sizeof(words) || safe_read(self, moment->now.record, words, size) < 0 ||
        words[1] != (uint64_t)(uintptr_t)self->state->record_type)
        return;
    memcpy(&owner->fields, record + fields_offset, sizeof(Fields));
    /* A record that was made since has the place of one that is gone. */
    owner->is_known = owner->fields.key != 0 && !(owner->fields.born > moment->now.started);
    if (owner->is_known && *(const int64_t *)(record + referent_offset) == owner->fields.key)
        read_word(self, (uintptr_t)owner->fields.key + (uintptr_t)self->task_coro, &owner->coro);
}

/* Whether the same callback still runs. Says of the owner whether it lives: then its coroutine was read as it is. */
static int is_same(Sampler *self, Loop *loop, const Moment *first, Owner *owner) {
    Published published;
    uintptr_t words[2] = {0, 0};
    int64_t referent = 0;
    const uintptr_t clock = loop->clock + offsetof(LoopClock, started);
    const uintptr_t group = owner->is_known ? (uintptr_t)owner->fields.group : 0;
    struct iovec into[PIECES], from[PIECES];
    int count = 0;
    if (owner->is_known) {
        into[count] = (struct iovec){&referent, sizeof(referent)};
        from[count++] = (struct iovec){(void *)(first->now.record + (uintptr_t)referent_offset), sizeof(referent)};
    }
    if (group != 0) {
        into[count] = (struct iovec){&owner->group, sizeof(owner->group)};
        from[count++] = (struct iovec){(void *)(group + group_number_offset), sizeof(owner->group)};
    }
    if (owner->coro != 0) {
        into[count] = (struct iovec){words, sizeof(words)};
        from[count++] = (struct iovec){(void *)owner->coro, sizeof(words)};
    }
    into[count] = (struct iovec){&published, sizeof(published)};
    from[count++] = (struct iovec){(void *)clock, sizeof(published)};
    if (read_all(self, into, from, count) < 0) {
        referent = words[1] = 0;
        if (safe_read(self, clock, &published, sizeof(published)) < 0)
            return 0;
    }
    owner->lives = owner->is_known && referent == owner->fields.key;
    owner->coroutine = words[1] == (uintptr_t)&PyCoro_Type || words[1] == (uintptr_t)&PyGen_Type
                           ? owner->coro + (uintptr_t)self->coro_frame
                           : 0;
    return published.started == first->now.started && published.record == first->now.record;
}

/* Of a chain that is torn, or whose step was over before it had been read, there is left what was read with the clock, and
 * the coroutine of the task. */
static int keep_part(Sampler *self, Owner *owner, int sure) {
    Chain *chain = &self->chain;
    uintptr_t words[FRAME_WORDS];
    chain->count = chain->gap = sure < INNERMOST ? sure : INNERMOST - 1;
    if (owner->coroutine != 0 && owner->lives && safe_read(self, owner->coroutine, words, sizeof(words)) == 0)
        chain->inner[chain->count++] =
            (Frame){untagged(words[self->frame_code / 8]), words[self->frame_instruction / 8], owner->coroutine};
    chain->walked = chain->count;
    return PART;
}

static void write_idle(Sampler *self, Loop *loop, int64_t elapsed) {
    uint64_t *at = room_for(self, 3);
    if (at == NULL)
        return;
    at[0] = IDLE;
    at[1] = (uint64_t)loop->id;
    at[2] = (uint64_t)elapsed;
}

static void write_sample(Sampler *self, Loop *loop, int64_t elapsed) {
    Moment first, moment;
    Owner owner;
    int tries, how, same, is_running;
    Frame made = {0};
    if (look(self, loop, &first) < 0)
        return;
    is_running = first.now.started != 0.0;
    if (!is_running && loop->clocked) {
        write_idle(self, loop, elapsed);
        return;
    }
    moment = first;
    for (tries = 1;; tries++) {
        how = walk(self, moment.frame, 0);
        if (self->chain.loop != 0 && self->chain.loop != loop->floor) {
            loop->floor = self->chain.loop;
            loop->above = ABOVE;
        }
        if (tries == 1)
            find_owner(self, &first, &owner);
        same = is_same(self, loop, &first, &owner);
        how = judge(self, loop, &owner, how, same);
        if (how != 0 || !same || tries == TRIES || look(self, loop, &moment) < 0 ||
            moment.now.started != first.now.started)
            break;
    }
    if (how == 0 && !is_running) {
        self->torn++;
        return;
    }
    if (how == 0) /* the links of a torn chain may be old ones, which lead anywhere */
        how = keep_part(self, &owner, same && self->chain.sure > 1 ? 1 : self->chain.sure);
    if (self->chain.count == 0 && !is_running) {
        write_idle(self, loop, elapsed);
        return;
    }
    if (owner.is_known && owner.fields.code != NULL)
        made = (Frame){(uintptr_t)owner.fields.code,
                       (uintptr_t)owner.fields.code + (uintptr_t)self->code_start + (uintptr_t)(int64_t)owner.fields.lasti, 0};
    write_row(self, how, is_running, (uint64_t)loop->id, elapsed, owner.is_known ? (uint64_t)owner.fields.id : 0,
              (uint64_t)owner.group, 0, made.code ? &made : NULL);
}

/* What a thread of an executor runs; nothing if it has no job. */
static void write_job(Sampler *self, Worker *worker, int64_t elapsed) {
    uintptr_t thread, frame;
    self->block.size = 0;
    if (read_word(self, worker->thread_state + (uintptr_t)self->thread_id, &thread) < 0 || thread != worker->thread ||
        innermost_frame(self, worker->thread_state, &frame) < 0)
        return;
    if (walk(self, frame, 1) == JOB)
        write_row(self, JOB, 0, worker->thread, elapsed, 0, 0, (uint64_t)self->chain.job,
                  NULL);
}

/* The thread */

static int64_t thread_nanoseconds(void) {
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static double next_pause(Sampler *self) {
    /* From half to one and a half: a program that does something a hundred times a second is not always met there. */
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->interval * (0.5 + (double)(self->random >> 11) * 0x1p-53);
}

/* The time that a sample stands for. A thread that waits for a CPU is late, and one sample for all that time would outweigh
 * hundreds of others: what is more than a few intervals is shared out among those that follow. */
static int64_t share_of(Sampler *self, int64_t *owed) {
    int64_t most = (int64_t)(self->interval * 4e9), share = *owed;
    if (share > most)
        share = share / 32 > most ? share / 32 : most;
    *owed -= share;
    return share;
}

static PyObject *sampler_run(PyObject *op, PyObject *unused) {
    Sampler *self = (Sampler *)op;
    PyThreadState *saved;
    saved = PyEval_SaveThread();
    {
        int64_t last = nanoseconds(), owed = 0, elapsed, at;
        while (!__atomic_load_n(&self->stopped, __ATOMIC_ACQUIRE)) {
            int64_t pause = (int64_t)(next_pause(self) * 1e9);
            struct timespec wait = {pause / 1000000000, pause % 1000000000};
            int index;
            nanosleep(&wait, NULL);
            pthread_mutex_lock(&self->lock);
            at = nanoseconds();
            self->looks++;
            owed += at - last;
            elapsed = share_of(self, &owed);
            for (index = 0; index < self->count; index++)
                write_sample(self, &self->loops[index], elapsed);
            for (index = 0; index < self->worker_count; index++)
                write_job(self, &self->workers[index], elapsed);
            if (self->looks % 16 == 1)
                self->cpu = thread_nanoseconds();
            pthread_mutex_unlock(&self->lock);
            last = at;
        }
    }
    PyEval_RestoreThread(saved);
    Py_RETURN_NONE;
}

static PyObject *sampler_stop(PyObject *op, PyObject *unused) {
    __atomic_store_n(&((Sampler *)op)->stopped, 1, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

/* Learning */

static PyObject *refuse(const char *what) {
    PyErr_Format(PyExc_NotImplementedError, "this Python keeps its %s where it is not known", what);
    return NULL;
}

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

static int open_memory(Sampler *self, int filtered) {
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

/* sampler(state, codes, stops, filtered, task, coro): ready to run, or an error that says why not. */
static PyObject *sampler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *state, *codes, *stops, *task, *coro;
    int filtered;
    Py_ssize_t index;
    Sampler *self;
    if (!PyArg_ParseTuple(args, "OO!O!pOO", &state, &PyTuple_Type, &codes, &PyTuple_Type, &stops, &filtered, &task, &coro))
        return NULL;
    if (PyInterpreterState_ThreadHead == NULL || PyThreadState_Next == NULL || PyThread_get_thread_ident == NULL)
        return refuse("threads");
    if ((void *)&PyCoro_Type == NULL || (void *)&PyGen_Type == NULL)
        return refuse("coroutines");
    self = (Sampler *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(state);
    self->state = (State *)state;
    self->memory = -1;
    self->pid = (long)getpid();
    self->random = (uint64_t)nanoseconds() | 1;
    self->interval = 0.01;
    pthread_mutex_init(&self->lock, NULL);
    self->now.words = malloc(ROOM * sizeof(uint64_t));
    self->other.words = malloc(ROOM * sizeof(uint64_t));
    self->codes = calloc(CODES, sizeof(Code));
    self->kept = PyTuple_Pack(2, codes, stops);
    if (self->now.words == NULL || self->other.words == NULL || self->codes == NULL || self->kept == NULL) {
        PyErr_NoMemory();
        goto failed;
    }
    for (index = 0; index < PyTuple_Size(stops) && index < STOPS; index++)
        self->stops[self->stop_count++] = (uintptr_t)PyTuple_GetItem(stops, index);
    if (open_memory(self, filtered) < 0)
        goto failed;
    if (learn_codes(self, codes) < 0) {
        refuse("code objects");
        goto failed;
    }
    if (learn_strings(self) < 0) {
        refuse("strings");
        goto failed;
    }
    if (learn_frames(self) < 0) {
        refuse("frames");
        goto failed;
    }
    if (learn_tasks(self, task, coro) < 0 || learn_variables(self, coro) < 0) {
        if (!PyErr_Occurred())
            refuse("coroutines");
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF((PyObject *)self);
    return NULL;
}

/* For the probe's thread */

/* The outermost frame of a thread; under the GIL, so nothing is half done. */
static uintptr_t base_of(Sampler *self, uintptr_t thread_state) {
    uintptr_t frame, words[FRAME_WORDS], last = 0;
    Block block;
    block.size = 0;
    if (innermost_frame(self, thread_state, &frame) < 0)
        return 0;
    while (frame != 0) {
        if (read_frame(self, frame, last, &block, words) < 0)
            return 0;
        last = frame;
        frame = words[self->frame_previous / 8];
    }
    return last;
}

/* The thread may be in the middle of a look, which takes it up to 30 ms where stacks are very deep: the program does not
 * wait for that. Returns with the GIL. */
static void take_lock(Sampler *self) {
    int tries;
    for (tries = 0; pthread_mutex_trylock(&self->lock) != 0; tries++) {
        if (tries == 10) {
            pthread_mutex_lock(&self->lock);
            return;
        }
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&self->lock);
        pthread_mutex_unlock(&self->lock);
        Py_END_ALLOW_THREADS
    }
}

/* follow([(LoopRecord, id, thread, clocked)], [thread of an executor], [(code of what runs its jobs, variable)],
 * greenlets, interval) */
static PyObject *sampler_follow(PyObject *op, PyObject *args) {
    Sampler *self = (Sampler *)op;
    PyObject *list, *threads, *codes, *clock;
    PyThreadState *state;
    Loop loops[MOST_LOOPS];
    Worker workers[MOST_WORKERS];
    JobFrame jobs[STOPS];
    double interval;
    int count = 0, worker_count = 0, job_count = 0, greenlets, index;
    if (!PyArg_ParseTuple(args, "O!O!O!pd", &PyList_Type, &list, &PyList_Type, &threads, &PyList_Type, &codes, &greenlets,
                          &interval))
        return NULL;
    for (index = 0; index < PyList_Size(list) && count < MOST_LOOPS; index++) {
        unsigned long long ident;
        Loop *loop = &loops[count++];
        if (!PyArg_ParseTuple(PyList_GetItem(list, index), "O!LKp", self->state->clock_type, &clock, &loop->id, &ident,
                              &loop->clocked))
            return NULL;
        loop->clock = (uintptr_t)clock;
        loop->thread = (uint64_t)ident;
        loop->thread_state = loop->base = loop->through = loop->floor = 0;
        loop->above = 0;
    }
    for (index = 0; index < PyList_Size(threads) && worker_count < MOST_WORKERS; index++) {
        workers[worker_count++] = (Worker){PyLong_AsUnsignedLongLong(PyList_GetItem(threads, index)), 0};
        if (PyErr_Occurred())
            return NULL;
    }
    for (index = 0; index < PyList_Size(codes) && job_count < STOPS; index++) {
        PyObject *code;
        if (!PyArg_ParseTuple(PyList_GetItem(codes, index), "On", &code, &jobs[job_count].variable))
            return NULL;
        jobs[job_count++].code = (uintptr_t)code;
    }
    for (state = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); state != NULL; state = PyThreadState_Next(state)) {
        uintptr_t ident;
        if (read_word(self, (uintptr_t)state + (uintptr_t)self->thread_id, &ident) < 0)
            continue;
        for (index = 0; index < count; index++)
            if (loops[index].thread == ident) {
                loops[index].thread_state = (uintptr_t)state;
                loops[index].base = base_of(self, (uintptr_t)state);
            }
        for (index = 0; index < worker_count; index++)
            if (workers[index].thread == ident)
                workers[index].thread_state = (uintptr_t)state;
    }
    take_lock(self);
    for (index = 0; index < count; index++) {
        Loop *before = self->loops, *beyond = self->loops + self->count;
        for (; before < beyond && (before->clock != loops[index].clock || before->thread != loops[index].thread); before++)
            ;
        if (before < beyond) {
            loops[index].through = before->through;
            loops[index].floor = before->floor;
            loops[index].above = before->above;
        }
    }
    memcpy(self->loops, loops, sizeof(Loop) * (size_t)count);
    memcpy(self->workers, workers, sizeof(Worker) * (size_t)worker_count);
    memcpy(self->jobs, jobs, sizeof(JobFrame) * (size_t)job_count);
    self->count = count;
    self->worker_count = worker_count;
    self->job_count = job_count;
    self->greenlets = greenlets;
    self->interval = interval;
    pthread_mutex_unlock(&self->lock);
    Py_RETURN_NONE;
}

/* One of the texts of a code object: (bytes, width of a character). */
static PyObject *take_text(uint64_t *words, Py_ssize_t *at) {
    uint64_t header = words[(*at)++];
    Py_ssize_t size = (Py_ssize_t)(header & UINT32_MAX);
    PyObject *text = Py_BuildValue("(y#i)", (char *)(words + *at), size, (int)(header >> 32));
    *at += (size + 7) / 8;
    return text;
}

/* drain() -> ([(loop, running, task, how, ns, frames, group, made)], {number: (line, file, name, table)}, looks, lost, torn,
 * ns of CPU). How is 0 for a loop that was found idle; frames are 64-bit words, innermost first: number of the code, offset
 * in it; 0 for frames that are left out. `made` is such a word; of a job what tells it from others, and the thread
 * takes the place of the loop. */
static PyObject *sampler_drain(PyObject *op, PyObject *unused) {
    Sampler *self = (Sampler *)op;
    PyObject *samples = PyList_New(0), *codes = PyDict_New(), *item, *key;
    int64_t looks, lost, torn, cpu;
    Buffer taken;
    Py_ssize_t at = 0;
    if (samples == NULL || codes == NULL)
        goto failed;
    take_lock(self);
    taken = self->now;
    self->now = self->other;
    self->now.used = 0;
    self->other = taken;
    looks = self->looks;
    lost = self->lost;
    torn = self->torn;
    cpu = self->cpu;
    self->looks = self->lost = self->torn = 0;
    pthread_mutex_unlock(&self->lock);
    while (at < taken.used) {
        uint64_t *words = taken.words, head = words[at];
        if ((head & 255) == CODE) {
            uint64_t fact = words[at + 1];
            PyObject *file, *name, *table;
            at += 2;
            file = take_text(words, &at);
            name = take_text(words, &at);
            table = take_text(words, &at);
            key = PyLong_FromUnsignedLong((unsigned long)(fact & UINT32_MAX));
            item = file && name && table ? Py_BuildValue("(iOOO)", (int)(fact >> 32), file, name, table) : NULL;
            Py_XDECREF(file);
            Py_XDECREF(name);
            Py_XDECREF(table);
            if (item == NULL || key == NULL || PyDict_SetItem(codes, key, item) < 0) {
                Py_XDECREF(item);
                Py_XDECREF(key);
                goto failed;
            }
            Py_DECREF(key);
        } else if ((head & 255) == IDLE) {
            item = Py_BuildValue("(KiLiLy#LK)", (unsigned long long)words[at + 1], 0, 0LL, 0, (long long)words[at + 2],
                                 "", (Py_ssize_t)0, 0LL, 0ULL);
            at += 3;
        } else {
            Py_ssize_t count = (Py_ssize_t)(head >> 32);
            item = Py_BuildValue("(KiLiLy#LK)", (unsigned long long)words[at + 1], (int)(head >> 8 & 1),
                                 (long long)words[at + 3], (int)(head >> 16 & 255), (long long)words[at + 2],
                                 (char *)(words + at + HEAD_WORDS), count * (Py_ssize_t)sizeof(uint64_t),
                                 (long long)words[at + 4], (unsigned long long)words[at + 5]);
            at += HEAD_WORDS + count;
        }
        if ((head & 255) != CODE && (item == NULL || PyList_Append(samples, item) < 0)) {
            Py_XDECREF(item);
            goto failed;
        }
        Py_DECREF(item);
    }
    return Py_BuildValue("(NNLLLL)", samples, codes, (long long)looks, (long long)lost, (long long)torn,
                         (long long)cpu);
failed:
    Py_XDECREF(samples);
    Py_XDECREF(codes);
    return NULL;
}

static void sampler_dealloc(PyObject *op) {
    Sampler *self = (Sampler *)op;
    PyTypeObject *type = Py_TYPE(op);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    if (self->memory >= 0)
        close(self->memory);
    pthread_mutex_destroy(&self->lock);
    free(self->now.words);
    free(self->other.words);
    free(self->codes);
    Py_XDECREF(self->kept);
    Py_XDECREF((PyObject *)self->state);
    release(op);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef sampler_methods[] = {
    {"run", sampler_run, METH_NOARGS, "The body of the thread: samples until `stop`, without the GIL."},
    {"stop", sampler_stop, METH_NOARGS, "Ends `run` within one interval and a half."},
    {"follow", sampler_follow, METH_VARARGS, "Which loops and threads are sampled, and how often."},
    {"drain", sampler_drain, METH_NOARGS, "What was sampled since the last call."},
    {NULL},
};
static PyType_Slot sampler_slots[] = {
    {Py_tp_new, sampler_new},
    {Py_tp_methods, sampler_methods},
    {Py_tp_dealloc, sampler_dealloc},
    {0, NULL},
};
PyType_Spec sampler_spec = {
    .name = "probes.hooks._native.Sampler",
    .basicsize = sizeof(Sampler),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = sampler_slots,
};
#endif
