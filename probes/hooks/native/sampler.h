/* What the files of the sampler share: flame.c, flame_memory.c and flame_layout.c. */
#ifndef LOOPTOP_SAMPLER_H
#define LOOPTOP_SAMPLER_H

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
#define MOST_TABLE 16384
#define FRAME_WORDS 9
#define CODE_WORDS 32
#define ABOVE 4096 /* bytes above the frame of the loop that are read with its clock: about 20 frames */
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

/* A stack. Of a deep one the frames in the middle are left out. */
typedef struct {
    Frame inner[INNERMOST], outer[OUTERMOST]; /* `outer` is a ring */
    int64_t count, walked;
    uintptr_t last, job, loop; /* loop: the frame of the loop; 0: not reached */
    int sure, gap; /* innermost frames that were read with the clock; after how many some were not read, or -1 */
} Chain;

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

/* A pointer without the bits that an interpreter keeps in it. */
static inline uintptr_t untagged(uint64_t word) { return (uintptr_t)word & ~(uintptr_t)7; }

/* flame_memory.c */
int safe_read(Sampler *self, uintptr_t address, void *into, size_t size);
int read_all(Sampler *self, const struct iovec *into, const struct iovec *from, int count);
int read_word(Sampler *self, uintptr_t address, uintptr_t *word);
Py_ssize_t read_text(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header);
Py_ssize_t read_bytes(Sampler *self, uintptr_t address, char *into, Py_ssize_t most, uint64_t *header);
int read_frame(Sampler *self, uintptr_t frame, uintptr_t callee, Block *block, uintptr_t *words);
int innermost_frame(Sampler *self, uintptr_t thread_state, uintptr_t *frame);
int open_memory(Sampler *self, int filtered);

/* flame_layout.c */
int learn_layout(Sampler *self, PyObject *codes, PyObject *task, PyObject *coro);

#endif
#endif
