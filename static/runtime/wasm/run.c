// The run of a plan: a list of steps, and threads that share those that can be divided. One thread leads: it goes through
// the list, does alone what cannot be divided, and offers the parts of the rest to helpers, which claim them one at a time.
#include "simd.h"

// kernel: its place in the table. parts: 1, or into how many it is divided.
typedef struct { int (*kernel)(const void *, int, int); const void *args; int parts; } Step;

// Shared by the threads of one model. `claim` is the number of the offer << 16 | its parts that nobody has taken: it never
// has the same value twice, so a thread whose exchange succeeds has read the step of that very offer, and the step stays
// until the thread is done.
typedef struct {
  _Atomic uint64_t claim;
  const Step *_Atomic step;
  _Atomic int done;     // parts of the offer that are finished
  _Atomic int status;   // of a part that failed
  _Atomic int running;  // whether there are more steps to come
  _Atomic int offers;   // counts offers; helpers with nothing to do sleep on it
  _Atomic int sleepers;
  _Atomic int waiting;  // whether the leader sleeps on `done`
  _Atomic int helped;   // parts that helpers did, ever
  int order;            // not 0: gives parts out in another order and keeps threads busy in between; for tests
} Control;
static Control control;

enum { HELPER_LOST = 3, ENDLESS = 20000 }; // as in backends/wasm.js; waits of a millisecond for one part

// Turns of an empty loop before a thread sleeps: some 20 us, so that a core that others need is soon free.
enum { PATIENCE = 20000 };

#define EXPORT(name) __attribute__((export_name(#name)))

// Whether there was anything to claim.
static int take(void) {
  uint64_t c = control.claim;
  if (!(c & 0xffff)) return 0;
  const Step *s = control.step;
  if (!__c11_atomic_compare_exchange_strong(&control.claim, &c, c - 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
  unsigned part = (unsigned)(c & 0xffff) - 1;
  if (control.order) {
    unsigned turn = (unsigned)(c >> 16) * (unsigned)control.order;
    part = (part + turn) % (unsigned)s->parts;
    for (volatile unsigned i = (turn ^ part * 2654435761u) & 4095; i; i--);
  }
  int status = s->kernel(s->args, (int)part, s->parts);
  if (status) control.status = status;
  int parts = s->parts; // the step may be another's once the last part is reported
  if (__c11_atomic_fetch_add(&control.done, 1, __ATOMIC_SEQ_CST) + 1 == parts && control.waiting)
    __builtin_wasm_memory_atomic_notify((int *)&control.done, 1);
  return 1;
}

static int share_out(const Step *s) {
  uint64_t offer = (control.claim >> 16) + 1;
  control.done = 0;
  control.status = 0;
  control.step = s;
  control.claim = offer << 16 | (uint64_t)s->parts;
  control.offers++;
  if (control.sleepers) __builtin_wasm_memory_atomic_notify((int *)&control.offers, (uint32_t)s->parts);
  while (take());
  for (int i = 0; control.done != s->parts; i++) {
    if (i < PATIENCE) continue;
    if (i == PATIENCE + ENDLESS) return HELPER_LOST; // its thread is gone
    control.waiting = 1;
    int done = control.done;
    if (done != s->parts) __builtin_wasm_memory_atomic_wait32((int *)&control.done, done, 1000000);
    control.waiting = 0;
  }
  return control.status;
}

// Runs n steps; `alone`: without helpers. Returns 0, or the number of the step that failed << 8 | its status.
EXPORT(run) int run(const Step *s, int n, int alone) {
  int status = 0, i = 0;
  if (!alone) control.running = 1;
  for (; i < n && !status; i++) status = alone || s[i].parts < 2 ? s[i].kernel(s[i].args, 0, 1) : share_out(s + i);
  if (!alone) {
    control.running = 0;
    control.offers++;
    if (control.sleepers) __builtin_wasm_memory_atomic_notify((int *)&control.offers, 1 << 16);
  }
  return status ? (i - 1) << 8 | status : 0;
}

// Before helpers are called: from here on they stay until run() ends.
EXPORT(begin) void begin(int order) {
  control.order = order;
  control.running = 1;
}

// A helper broke off in the middle of a part.
EXPORT(broken) void broken(void) {
  control.status = HELPER_LOST;
  control.done++;
  __builtin_wasm_memory_atomic_notify((int *)&control.done, 1);
}

EXPORT(helped) int helped(void) { return control.helped; }

// What a helper does during one run.
EXPORT(help) void help(void) {
  for (int idle = 0; control.running;) {
    int offers = control.offers;
    if (take()) idle = 0, control.helped++;
    else if (++idle > PATIENCE && control.running) {
      control.sleepers++;
      if (!(control.claim & 0xffff)) __builtin_wasm_memory_atomic_wait32((int *)&control.offers, offers, -1);
      control.sleepers--;
      idle = 0;
    }
  }
}
