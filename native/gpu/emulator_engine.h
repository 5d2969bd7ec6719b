// What runs a block of the emulator: a fiber for each CUDA thread, a scheduler that draws who is next, the block's shared memory. For
// gpu/emulator.cpp only, which adds what threads do together.
//
// Under TSan every CUDA thread is a thread of the tool's, ordered by barriers and __syncwarp alone, as CUDA orders them. Four things make
// that work: fibers are made by the launcher, not by one another (a fiber is ordered after its maker); a barrier has two objects in
// turn (a fast thread at the next barrier must not order a slow one still leaving this); stacks are fresh, barrier objects a block's
// own, and a grid's fibers are kept to its end (the tool reuses ids, and forgets what it knew of them); and code that fibers run in here
// is not instrumented, which goes for one function at a time: neither lambdas nor the library's templates that it calls.
#pragma once
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "gpu/emulator.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreWritesBegin(const char*, int), AnnotateIgnoreWritesEnd(const char*, int);
#define GT_IGNORE_BEGIN AnnotateIgnoreWritesBegin(__FILE__, __LINE__)
#define GT_IGNORE_END AnnotateIgnoreWritesEnd(__FILE__, __LINE__)
#else
#define GT_IGNORE_BEGIN
#define GT_IGNORE_END
#endif

#if !defined(__x86_64__)
#error "the emulator's fiber switch is written for x86-64; build with -DGEMMATUNE_EMULATED=OFF"
#endif

// Saves the callee-saved registers on this stack, its pointer in *save, and goes on with the stack `to` that was saved like this.
extern "C" void gt_emulator_switch(void** save, void* to);
__asm__(R"(.text
.globl gt_emulator_switch
.hidden gt_emulator_switch
.type gt_emulator_switch,@function
gt_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gt_emulator_switch,.-gt_emulator_switch
)");

namespace gt::emulated {
namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr size_t kPage = 4096;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStack = 256 * 1024;  // instrumented frames are larger
#else
constexpr size_t kStack = 64 * 1024;
#endif

struct WarpOperation {  // what a lane brings to a warp-wide operation
  void (*run)(WarpOperation** lanes, unsigned mask);
  unsigned mask;
  const char* name;
  Site site;
};
struct PendingCopy { void* to; const void* from; bool valid; int group; };
struct Warp { unsigned exist, alive; WarpOperation* waiting[32]; };
enum class State : uint8_t { fresh, ready, at_barrier, at_warp, done };

struct Fiber : Thread {
  void* stack_pointer;
  char* stack;
  unsigned linear, lane;
  Warp* warp;
  State state;
  Site site;  // of its last barrier, warp operation or atomic
  int vote;
  PendingCopy copies[64];
  int num_copies, groups;
  unsigned warp_barriers;
  void *fake_stack, *tsan;
};
struct StaticShared { Site site; const void* type; void* data; };

struct Engine {
  Block block;
  gpu::Level level;
  const Launch* launch;
  Fiber main, fibers[kMaxThreads];
  Warp warps[kMaxThreads / 32];
  unsigned count, num_warps, alive, waiting;  // threads and warps of the block; threads that have not returned, that are at the barrier
  int vote_operation, vote_result;
  uint64_t steps;

  // Scheduler: lanes of each warp that may run, and, for `skew`, the order of the warps.
  Options::Schedule schedule;
  unsigned ready[kMaxThreads / 32], ready_count;
  uint8_t order[kMaxThreads / 32];
  uint64_t random_state, launches = 0, turn;  // turn: for `mix`

  char *dynamic, *free_stacks[kMaxThreads + 1], *ended_stack = nullptr;
  size_t dynamic_bytes, static_bytes;
  StaticShared statics[64];
  unsigned num_statics, num_free_stacks = 0;

  bool failed;
  char message[2000];

  const void* main_bottom = nullptr;  // ASan: the stack of the thread that launched
  size_t main_size = 0;
  char *sync_arena = nullptr, *sync = nullptr;  // TSan: addresses that stand for barriers; this block's
  unsigned phase, blocks_run = 0;
  char finished = 0;
  static constexpr unsigned kPast = 4096;
  void* past[kPast];
  unsigned num_past = 0;

  ~Engine() {
    while (num_free_stacks) munmap(free_stacks[--num_free_stacks], kPage + kStack);
    if (sync_arena) munmap(sync_arena, kSyncArena);
  }
  static constexpr size_t kSyncOfBlock = 8192, kSyncArena = 512 * kSyncOfBlock;  // 2 of the block and 4 of each thread
};

thread_local Engine* engine = nullptr;  // of this OS thread, from its first launch to its end

void make_engine() {
  static thread_local std::unique_ptr<Engine> owner;
  if (!owner) owner = std::make_unique<Engine>();
  engine = owner.get();
}

GT_EMULATOR_CODE Fiber* self() { return static_cast<Fiber*>(this_thread); }
GT_EMULATOR_CODE uint64_t draw() {
  uint64_t& s = engine->random_state;
  s ^= s << 13, s ^= s >> 7, s ^= s << 17;
  return s;
}

// ---- stacks: a stack that a fiber has ended on is the next one's to start on, while it is warm in the cache

void provide_stacks(unsigned n) {
  Engine& e = *engine;
  while (e.num_free_stacks < n) {
    void* p = mmap(nullptr, kPage + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(p != MAP_FAILED, Code::kMemory, "the emulator could not allocate the stack of a thread");
    mprotect(p, kPage, PROT_NONE);  // what runs over ends here
    e.free_stacks[e.num_free_stacks++] = static_cast<char*>(p);
  }
}
GT_EMULATOR_CODE void free_stack(char* p) {
#if defined(__SANITIZE_THREAD__)
  munmap(p, kPage + kStack);
#else
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(p + kPage, kStack);
#endif
  engine->free_stacks[engine->num_free_stacks++] = p;
#endif
}

// ---- switching

void fiber_main();

GT_EMULATOR_CODE void after_switch(void* fake_stack) {
  Engine& e = *engine;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
  if (!e.main_bottom) e.main_bottom = bottom, e.main_size = size;  // the first switch comes from there
#endif
  (void)fake_stack;
  if (e.ended_stack) free_stack(e.ended_stack), e.ended_stack = nullptr;
}

GT_EMULATOR_CODE void switch_to(Fiber* from, Fiber* to) {
  Engine& e = *engine;
  counters().switches++;
  const bool to_main = to == &e.main;
  if (!to_main && to->state == State::fresh) {
    to->stack = e.free_stacks[--e.num_free_stacks];
    void** sp = reinterpret_cast<void**>(to->stack + kPage + kStack);
    *--sp = nullptr;  // a return address that nobody returns to keeps the ABI's alignment
    *--sp = reinterpret_cast<void*>(&fiber_main);
    for (int i = 0; i < 6; i++) *--sp = nullptr;
    to->stack_pointer = sp;
  }
  if (!to_main) to->state = State::ready;
  this_thread = to_main ? nullptr : to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(from->state == State::done ? nullptr : &from->fake_stack, to_main ? e.main_bottom : to->stack + kPage, to_main ? e.main_size : kStack);
#elif defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
  gt_emulator_switch(&from->stack_pointer, to->stack_pointer);
  after_switch(from->fake_stack);
}

// Ends the block: control goes back to run_block for good.
[[noreturn]] GT_EMULATOR_CODE __attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
  Engine& e = *engine;
  const Fiber* f = self();
  const int n = snprintf(e.message, sizeof e.message, "block (%u,%u,%u) thread (%u,%u,%u): ", e.block.index.x, e.block.index.y, e.block.index.z, f->index.x, f->index.y, f->index.z);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(e.message + n, sizeof e.message - size_t(n), format, arguments);
  va_end(arguments);
  e.failed = true;
  switch_to(self(), &e.main);
  __builtin_unreachable();
}

// ---- scheduling

GT_EMULATOR_CODE unsigned nth_bit(unsigned bits, unsigned n) {
  while (n--) bits &= bits - 1;
  return unsigned(__builtin_ctz(bits));
}
GT_EMULATOR_CODE unsigned any_bit(unsigned bits) { return nth_bit(bits, unsigned(draw() % unsigned(__builtin_popcount(bits)))); }

// skew: the warps run in a drawn order, each as far as it can, drawn anew at every barrier.
GT_EMULATOR_CODE void shuffle_warps() {
  Engine& e = *engine;
  for (unsigned i = e.num_warps; i > 1; i--) {
    const unsigned j = unsigned(draw() % i);
    const uint8_t last = e.order[i - 1];
    e.order[i - 1] = e.order[j], e.order[j] = last;
  }
}

// The next fiber to run, or null.
GT_EMULATOR_CODE Fiber* pick() {
  Engine& e = *engine;
  if (!e.ready_count) return nullptr;
  unsigned w = 0, lane;
  switch (e.schedule) {
    case Options::forward:
      while (!e.ready[w]) w++;
      lane = unsigned(__builtin_ctz(e.ready[w]));
      break;
    case Options::reverse:
      w = e.num_warps - 1;
      while (!e.ready[w]) w--;
      lane = 31 - unsigned(__builtin_clz(e.ready[w]));
      break;
    case Options::random:
      do w = unsigned(draw() % e.num_warps);
      while (!e.ready[w]);
      lane = any_bit(e.ready[w]);
      break;
    default:
      for (unsigned i = 0; !e.ready[w = e.order[i]];) i++;
      lane = any_bit(e.ready[w]);
  }
  e.ready[w] &= ~(1u << lane);
  e.ready_count--;
  return &e.fibers[w * 32 + lane];
}

GT_EMULATOR_CODE void make_ready(Fiber& f) {
  engine->ready[f.linear / 32] |= 1u << f.lane;
  engine->ready_count++;
  f.state = State::ready;
}

// Where the threads are that have not returned: " [32 thread(s) from 96 at __syncthreads file:line] ..."
GT_EMULATOR_CODE void list_places(char* text, size_t size) {
  const Engine& e = *engine;
  text[0] = 0;
  size_t n = 0;
  for (unsigned i = 0; i < e.count && n < size; i++) {
    const Fiber& f = e.fibers[i];
    if (f.state == State::done) continue;
    unsigned first = i, like = 0;
    for (unsigned j = 0; j < e.count; j++) {
      const Fiber& o = e.fibers[j];
      if (o.state != f.state || o.site.line != f.site.line || o.site.file != f.site.file) continue;
      like++;
      if (j < first) first = j;
    }
    if (first != i) continue;
    const WarpOperation* op = f.warp->waiting[f.lane];
    n += size_t(snprintf(text + n, size - n, " [%u thread(s) from %u at %s %s:%d]", like, i, f.state == State::at_barrier ? "__syncthreads" : op ? op->name : "or after", f.site.file, f.site.line));
  }
}

[[noreturn]] GT_EMULATOR_CODE void deadlock() {
  char places[1500];
  list_places(places, sizeof places);
  fail("deadlock: %u of %u threads left, waiting at:%s", engine->alive, engine->count, places);
}

// Every barrier, warp operation and atomic passes here: a block that spins on one of them is found out.
GT_EMULATOR_CODE void step(Site site) {
  self()->site = site;
  if (++engine->steps <= options().steps) return;
  char places[1500];
  list_places(places, sizeof places);
  fail("the block spins: over %llu barriers, warp operations and atomics (GEMMATUNE_EMULATOR=steps=n allows more), threads at:%s", static_cast<unsigned long long>(options().steps), places);
}

GT_EMULATOR_CODE void wait_as(State state) {
  Fiber* me = self();
  me->state = state;
  Fiber* next = pick();
  if (!next) deadlock();
  switch_to(me, next);
}

// ---- a thread and a block

GT_EMULATOR_CODE void fiber_main() {
  Engine& e = *engine;
  after_switch(nullptr);
  e.launch->body();
#if defined(__SANITIZE_THREAD__)
  __tsan_release(&e.finished);
#endif
  Fiber* me = self();
  if (e.waiting && e.waiting == e.alive - 1) fail("returned while %u thread(s) wait at a __syncthreads", e.waiting);
  me->state = State::done;
  e.alive--;
  me->warp->alive &= ~(1u << me->lane);
  Fiber* next = pick();
  if (!next && e.alive) deadlock();
#if !defined(__SANITIZE_THREAD__)
  e.ended_stack = me->stack, me->stack = nullptr;
#endif
  switch_to(me, next ? next : &e.main);  // never comes back
}

// ASan sees the end of dynamic shared memory to the byte.
constexpr size_t kBehindShared = 128;
char* new_dynamic_shared(size_t bytes) {
  const size_t padded = (bytes + 127) / 128 * 128 + kBehindShared;
  GT_IGNORE_BEGIN;
  char* p = static_cast<char*>(aligned_alloc(128, padded));
  if (p) memset(p, 0xff, padded);
  GT_IGNORE_END;
  require(p, Code::kMemory, "the emulator could not allocate ", bytes, " bytes of shared memory");
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(p + bytes, padded - bytes);
#endif
  return p;
}
void free_shared() {
  Engine& e = *engine;
  GT_IGNORE_BEGIN;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(e.dynamic, (e.dynamic_bytes + 127) / 128 * 128 + kBehindShared);
#endif
  free(e.dynamic);
  for (unsigned i = 0; i < e.num_statics; i++) free(e.statics[i].data);
  GT_IGNORE_END;
}

// TSan reports a race with a thread only while it remembers that one, so a grid's are kept to its end, or until they are very many.
void forget_past() {
#if defined(__SANITIZE_THREAD__)
  Engine& e = *engine;
  while (e.num_past) __tsan_destroy_fiber(e.past[--e.num_past]);
#endif
}

GT_EMULATOR_CODE void run_block(uint3 index) {
  Engine& e = *engine;
  const dim3 threads = e.launch->threads;
  const unsigned n = threads.x * threads.y * threads.z;
  provide_stacks(n + 1);
  e.dynamic_bytes = e.launch->dynamic_shared_bytes, e.static_bytes = 0, e.num_statics = 0;
  e.dynamic = new_dynamic_shared(e.dynamic_bytes);
  e.block = {index, threads, e.launch->blocks};
  e.count = e.alive = e.ready_count = n;
  e.num_warps = (n + 31) / 32;
  e.waiting = e.phase = 0, e.steps = 0;
  for (unsigned w = 0; w < e.num_warps; w++) {
    const unsigned lanes = n - w * 32;
    e.warps[w] = {};
    e.warps[w].exist = e.warps[w].alive = e.ready[w] = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    e.order[w] = uint8_t(w);
  }
  for (unsigned i = 0; i < n; i++) {
    Fiber& f = e.fibers[i];
    f.index = {i % threads.x, i / threads.x % threads.y, i / (threads.x * threads.y)}, f.block = &e.block;
    f.state = State::fresh, f.linear = i, f.lane = i % 32, f.warp = &e.warps[i / 32], f.stack = nullptr, f.site = {"the start", 0};
    f.num_copies = f.groups = 0, f.warp_barriers = 0, f.fake_stack = nullptr;
  }
  e.schedule = options().schedule;
  if (e.schedule == Options::mix) {
    constexpr Options::Schedule kTurns[8] = {Options::skew, Options::forward, Options::skew, Options::random, Options::skew, Options::reverse, Options::skew, Options::random};
    e.schedule = kTurns[e.turn++ % 8];
  }
  shuffle_warps();
#if defined(__SANITIZE_THREAD__)
  for (unsigned i = 0; i < n; i++) e.fibers[i].tsan = __tsan_create_fiber(0);
  e.main.tsan = __tsan_get_current_fiber();
  if (!e.sync_arena) e.sync_arena = static_cast<char*>(mmap(nullptr, Engine::kSyncArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  e.sync = e.sync_arena + e.blocks_run % 512 * Engine::kSyncOfBlock;
#endif
  e.blocks_run++;
  counters().blocks++, counters().threads += n;
  switch_to(&e.main, pick());
  for (unsigned i = 0; i < n; i++) {
#if defined(__SANITIZE_THREAD__)
    if (e.fibers[i].state != State::done) {  // the block was ended: what the host frees now comes after this thread too
      __tsan_switch_to_fiber(e.fibers[i].tsan, __tsan_switch_to_fiber_no_sync);
      __tsan_release(&e.finished);
      __tsan_switch_to_fiber(e.main.tsan, __tsan_switch_to_fiber_no_sync);
    }
    if (e.num_past == Engine::kPast) forget_past();
    e.past[e.num_past++] = e.fibers[i].tsan;
#endif
    if (e.fibers[i].stack) free_stack(e.fibers[i].stack);
  }
  free_shared();
}

}  // namespace
}  // namespace gt::emulated
