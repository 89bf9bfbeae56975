// The run of a plan: a list of steps, and threads that share those that can be divided. One thread leads: it goes through
// the list, does alone what cannot be divided, and offers the parts of the rest to all, which claim them one at a time.
#include "simd.h"

enum { MOST_THREADS = 16, LINE = 128 };    // as in backends/wasm.js; bytes that go from core to core together
enum { HELPER_LOST = 3, ENDLESS = 20000 }; // as in backends/wasm.js; waits of a millisecond for one part

// Turns of an empty loop before a thread sleeps: some 20 us, so that a core that others need is soon free.
enum { PATIENCE = 20000 };

// kernel: its place in the table. parts: 1, or into how many it is divided.
typedef struct { int (*kernel)(const void *, int, int); const void *args; int parts; } Step;

// What one thread is offered: parts of a step that are its own, until others have done theirs and take from the far end.
// Between cores that are far from each other a line of memory takes a third of a microsecond, so what only one thread
// writes lies by itself. `range` is the number of the offer << 16 | the first part that nobody has taken << 8 | the end of
// those. It never has the same value twice: a thread whose exchange succeeds has read the step of that very offer, and the
// step stays until all its parts are reported. A helper that has nothing to do sleeps on the lower half.
typedef struct {
  _Alignas(LINE) _Atomic uint64_t range;
  const Step *_Atomic step;
  _Atomic int asleep;
  int finished; // parts that are not reported yet
} Mate;

// Shared by the threads of one model. Mate 0 leads.
typedef struct {
  Mate mates[MOST_THREADS];
  _Alignas(LINE) _Atomic int running; // whether there are more steps to come
  _Atomic int status;                 // of a part that failed
  int threads, order;                 // order: not 0 gives parts out in another order and keeps threads busy in between; for tests
  uint64_t offers;
  _Alignas(LINE) _Atomic int helped; // parts that helpers have reported, ever
  _Atomic int waiting;               // whether the leader sleeps on it
} Control;
static Control control;

#define EXPORT(name) __attribute__((export_name(#name)))

// Takes a part of what `from` was offered. Whether there was any.
static int take(Mate *from, Mate *me) {
  uint64_t range = from->range;
  unsigned first = (unsigned)(range >> 8) & 255, end = (unsigned)range & 255, part = from == me ? first : end - 1;
  if (first >= end) return 0;
  const Step *s = from->step;
  uint64_t rest = from == me ? range + 256 : range - 1;
  if (!__c11_atomic_compare_exchange_strong(&from->range, &range, rest, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
  if (control.order) {
    unsigned turn = (unsigned)(range >> 16) * (unsigned)control.order;
    part = (part + turn) % (unsigned)s->parts;
    for (volatile unsigned i = (turn ^ part * 2654435761u) & 4095; i; i--);
  }
  int status = s->kernel(s->args, (int)part, s->parts);
  if (status) control.status = status;
  me->finished++;
  return 1;
}
static void take_all(Mate *me) {
  int place = (int)(me - control.mates);
  for (int i = 0; i < control.threads; i++) while (take(control.mates + (place + i) % control.threads, me));
}

static void offer(Mate *to, const Step *s, Share parts) {
  to->step = s;
  to->range = control.offers << 16 | (uint64_t)(parts.from << 8 | parts.to);
  if (to->asleep) __builtin_wasm_memory_atomic_notify((int *)&to->range, 1);
}
// The first shares are the ones that may be empty: the leader's comes last.
static void offer_all(const Step *s, int parts) {
  control.offers++;
  for (int i = control.threads; i--;) offer(control.mates + i, s, share(parts, control.threads - 1 - i, control.threads));
}

static int share_out(const Step *s) {
  Mate *me = control.mates;
  int all = control.helped + s->parts;
  me->finished = 0;
  offer_all(s, s->parts);
  take_all(me);
  for (int i = 0, helped; (helped = control.helped) + me->finished != all; i++) {
    if (i < PATIENCE) continue;
    if (i == PATIENCE + ENDLESS) return HELPER_LOST; // its thread is gone
    control.waiting = 1;
    if (control.helped == helped) __builtin_wasm_memory_atomic_wait32((int *)&control.helped, helped, 1000000);
    control.waiting = 0;
  }
  return control.status;
}

// Before helpers are called, if there are any: from here on they stay until run() ends.
EXPORT(begin) void begin(int threads, int order) {
  control.threads = threads;
  control.order = order;
  control.status = 0;
  control.running = 1;
}

// Runs n steps; `alone`: without helpers. Returns 0, or the number of the step that failed << 8 | its status.
EXPORT(run) int run(const Step *s, int n, int alone) {
  int status = 0, i = 0;
  for (; i < n && !status; i++) status = alone || s[i].parts < 2 ? s[i].kernel(s[i].args, 0, 1) : share_out(s + i);
  if (!alone) {
    control.running = 0;
    offer_all(0, 0);
  }
  return status ? (i - 1) << 8 | status : 0;
}

// Of n numbers, a multiple of 4; also depends on their order.
EXPORT(sum_of) int sum_of(const int *p, int n) {
  i32x4 sum = isplat(1), sums = isplat(0);
  for (const int *end = p + n; p < end; p += 4) {
    sum = wasm_i32x4_add(sum, wasm_v128_load(p));
    sums = wasm_i32x4_add(sums, sum);
  }
  int out = 0;
  sums = wasm_v128_xor(sums, wasm_i32x4_mul(sum, isplat(31)));
  for (int i = 0; i < 4; i++, sums = wasm_i32x4_shuffle(sums, sums, 1, 2, 3, 0)) out = 31 * out + wasm_i32x4_extract_lane(sums, 0);
  return out;
}

static void report(Mate *me) {
  __c11_atomic_fetch_add(&control.helped, me->finished, __ATOMIC_SEQ_CST);
  me->finished = 0;
  if (control.waiting) __builtin_wasm_memory_atomic_notify((int *)&control.helped, 1);
}

// The helper at this place broke off in the middle of a part.
EXPORT(broken) void broken(int place) {
  Mate *me = control.mates + place;
  control.status = HELPER_LOST;
  me->finished++;
  report(me);
}

EXPORT(helped) int helped(void) { return control.helped; }

// What the helper at a place, from 1, does during one run.
EXPORT(help) void help(int place) {
  Mate *me = control.mates + place;
  for (int idle = 0; control.running; idle++) {
    int seen = (int)me->range;
    if (take(me, me)) {
      take_all(me);
      report(me);
      idle = 0;
    } else if (idle > PATIENCE) {
      me->asleep = 1;
      if (control.running) __builtin_wasm_memory_atomic_wait32((int *)&me->range, seen, -1);
      me->asleep = 0;
      idle = 0;
    }
  }
}
