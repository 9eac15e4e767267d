/* Samples of what the threads of loops run, for flame graphs: taken by a thread that never asks for the GIL.
 *
 * A sampler that takes the GIL finds the program where it lets go of it. This one reads the interpreter's frames while
 * they change. It reads all memory but its own through the kernel (`process_vm_readv` of this very process, or
 * /proc/self/mem where a seccomp filter is on): an address that has gone is an error there, never a fault. No object
 * is touched, and names are copied the first time that a code object is seen (flame_memory.c). Where the interpreter keeps
 * what is learnt at the start (flame_layout.c).
 *
 * A sample belongs to what ran when it was taken: one read shows the record of the task that runs, the innermost frame,
 * and the frames above that of the loop. The rest is read afterwards, and may be gone by then, for a step takes
 * microseconds. A frame is linked to its caller after it is pushed, and what is behind a pointer that is not set yet is
 * often an old frame. So a chain counts if it passes the coroutine of that task, or ends where the thread's does. Of any
 * other the frames of the first read are kept, under the coroutine: no sample of a task is dropped.
 */
#include "sampler.h"

#ifdef __linux__
#define MOST_WALKED 100000
#define ROOM 65536       /* words of one buffer */
#define CODES 8192       /* remembered by address; a power of two */
#define MOST_STRING 1024 /* bytes */
#define PIECES 6         /* of one read */
#define MOST_RECORD 512
#define TRIES 3

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

enum { SAMPLE = 1, CODE = 2, IDLE = 3 };
enum { TO_THE_LOOP = 1, TO_THE_ROOT, CUT, OTHER_STACK, JOB, PART };

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

/* sampler(state, codes, stops, filtered, task, coro): ready to run, or an error that says why not. */
static PyObject *sampler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *state, *codes, *stops, *task, *coro;
    int filtered;
    Py_ssize_t index;
    Sampler *self;
    if (!PyArg_ParseTuple(args, "OO!O!pOO", &state, &PyTuple_Type, &codes, &PyTuple_Type, &stops, &filtered, &task, &coro))
        return NULL;
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
    if (learn_layout(self, codes, task, coro) < 0)
        goto failed;
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
