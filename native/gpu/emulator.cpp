// gpu/emulator.h: options, launches, barriers, warp operations, tensor-core arithmetic. The fibers are in gpu/emulator_engine.h.
#include "gpu/emulator.h"

#include <algorithm>
#include <charconv>

#include "core/mix64.h"
#include "gpu/emulator_engine.h"

namespace gt::emulated {

__thread Thread* this_thread = nullptr;

// ---- options

Options parse_options(const std::string& all) {
  Options o;
  auto refuse = [&](const auto&... what) { throw Error(Code::kArgument, text("GEMMATUNE_EMULATOR is \"", all, "\": ", what...)); };
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find(',', begin), all.size());
    const std::string item = all.substr(begin, end - begin), key = item.substr(0, item.find('=')), value = item.substr(std::min(key.size() + 1, item.size()));
    begin = end + 1;
    auto number = [&](auto& to, uint64_t least, uint64_t most) {
      uint64_t n = 0;
      const auto [stop, problem] = std::from_chars(value.data(), value.data() + value.size(), n);
      if (problem != std::errc() || stop != value.data() + value.size() || n < least || n > most) refuse(key, " is \"", value, "\", expected a number from ", least, " to ", most);
      to = std::decay_t<decltype(to)>(n);
    };
    auto one_of = [&](auto& to, std::initializer_list<const char*> names) {
      int i = 0;
      std::string expected;
      for (const char* name : names) {
        if (value == name) return void(to = std::decay_t<decltype(to)>(i));
        expected += std::string(i++ ? ", " : "") + name;
      }
      refuse(key, " is \"", value, "\", expected one of ", expected);
    };
    if (key == "seed") number(o.seed, 0, UINT64_MAX);
    else if (key == "schedule") one_of(o.schedule, {"forward", "reverse", "random", "skew", "mix"});
    else if (key == "mma") number(o.mma_group, 0, 16);
    else if (key == "landing") one_of(o.landing, {"at_issue", "at_wait", "either"});
    else if (key == "streams") one_of(o.streams, {"eager", "lazy", "drawn"});
    else if (key == "memory") number(o.memory, 1, uint64_t(1) << 46);
    else if (key == "steps") number(o.steps, 1, UINT64_MAX);
    else refuse("it has no \"", key, "\", expected seed, schedule, mma, landing, streams, memory or steps");
  }
  return o;
}

Options& options() {
  static Options o = [] {
    const char* text = std::getenv("GEMMATUNE_EMULATOR");
    return parse_options(text ? text : "");
  }();
  return o;
}

Counters& counters() {
  static thread_local Counters c;
  return c;
}

// ---- launches

// What a kernel may have on every device of its code path: 64 KB on sm_75; 99 KB on sm_86 and sm_89, the least from sm_80 on.
static size_t shared_limit(gpu::Level level) { return size_t(level == gpu::Level::sm75 ? 64 : 99) * 1024; }
constexpr size_t kStaticLimit = 48 * 1024;

void check_launch(const Launch& l) {
  const dim3 t = l.threads, b = l.blocks;
  auto refuse = [&](const auto&... what) { throw Error(Code::kDevice, text("launch of (", b.x, ", ", b.y, ", ", b.z, ") blocks of (", t.x, ", ", t.y, ", ", t.z, ") threads: ", what...)); };
  const uint64_t n = uint64_t(t.x) * t.y * t.z;
  if (n == 0 || n > kMaxThreads || t.x > 1024 || t.y > 1024 || t.z > 64) refuse("a block has 1 to 1024 threads, at most 64 in z");
  if (b.x > 0x7fffffffu || b.y > 65535 || b.z > 65535) refuse("a grid goes to 2147483647 in x, 65535 in y and z");
  if (l.dynamic_shared_bytes > shared_limit(l.level)) refuse(l.dynamic_shared_bytes, " bytes of dynamic shared memory, the limit is ", shared_limit(l.level));
}

void run_grid(const Launch& launch) {
  check_launch(launch);
  make_engine();
  Engine& e = *engine;
  e.launch = &launch, e.level = launch.level, e.failed = false, e.message[0] = 0;
  // splitmix64 of seed and count: every launch has draws of its own
  e.random_state = mix64(options().seed * 0x9E3779B97F4A7C15ull + ++e.launches * 0xD1B54A32D192ED03ull) | 1;
  e.turn = draw();

  // Blocks in a scattered order: i -> (at + i * step) mod total.
  const dim3 blocks = launch.blocks;
  const uint64_t total = uint64_t(blocks.x) * blocks.y * blocks.z;
  uint64_t step = 1, at = 0;
  if (options().schedule == Options::reverse) {
    at = total - 1, step = total - 1;
  } else if (options().schedule != Options::forward && total > 2) {
    auto divisor = [](uint64_t a, uint64_t b) {
      while (b) std::swap(a %= b, b);
      return a;
    };
    do step = 1 + draw() % (total - 1);
    while (divisor(step, total) != 1);
    at = draw() % total;
  }
  for (uint64_t i = 0; i < total && !e.failed; i++) {
    const uint64_t b = (at + uint64_t(static_cast<__uint128_t>(i) * step % total)) % total;
    run_block({unsigned(b % blocks.x), unsigned(b / blocks.x % blocks.y), unsigned(b / blocks.x / blocks.y)});
  }
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(&e.finished);  // the host waits for the whole grid
#endif
  forget_past();
  if (e.failed) throw Error(Code::kDevice, text(e.message, " (emulator seed ", options().seed, ")"));
}

// ---- shared memory

void* dynamic_shared_memory() { return engine->dynamic; }

GT_EMULATOR_CODE void* static_shared_memory(Site site, const void* type, size_t bytes) {
  Engine& e = *engine;
  for (unsigned i = 0; i < e.num_statics; i++) {
    const StaticShared& s = e.statics[i];
    if (s.site.line == site.line && s.type == type && s.site.file == site.file) return s.data;
  }
  if (e.num_statics == 64) fail("over 64 shared variables at %s:%d", site.file, site.line);
  e.static_bytes += (bytes + 15) / 16 * 16;
  if (e.static_bytes > kStaticLimit) fail("static shared memory of %zu bytes at %s:%d, the limit is %zu", e.static_bytes, site.file, site.line, kStaticLimit);
  if (e.static_bytes + e.dynamic_bytes > shared_limit(e.level)) fail("static shared memory of %zu and dynamic of %zu bytes at %s:%d, the limit is %zu", e.static_bytes, e.dynamic_bytes, site.file, site.line, shared_limit(e.level));
  GT_IGNORE_BEGIN;
  void* p = malloc(bytes);  // a heap block of its own, so that ASan sees its end; 16-byte aligned, as SHARED promises
  if (p) memset(p, 0xff, bytes);
  GT_IGNORE_END;
  if (!p) fail("no memory for a shared variable at %s:%d", site.file, site.line);
  StaticShared& s = e.statics[e.num_statics++];
  s.site = site, s.type = type, s.data = p;
  return p;
}

// ---- barriers

namespace {

GT_EMULATOR_CODE bool same(Site a, Site b) { return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file)); }

GT_EMULATOR_CODE void release_barrier() {
  Engine& e = *engine;
  const Fiber* first = nullptr;
  int result = e.vote_operation == 2;
  for (unsigned i = 0; i < e.count; i++) {
    const Fiber& f = e.fibers[i];
    if (!first) first = &f;
    if (!same(f.site, first->site))
      fail("divergent __syncthreads: thread %u at %s:%d, thread %u at %s:%d", first->linear, first->site.file, first->site.line, f.linear, f.site.file, f.site.line);
    const int vote = f.vote != 0;
    result = e.vote_operation == 1 ? result | vote : e.vote_operation == 2 ? result & vote : result + vote;
  }
  e.vote_result = result, e.waiting = 0, e.phase++;
  for (unsigned i = 0; i < e.count; i++) make_ready(e.fibers[i]);
  shuffle_warps();
}

// Waits for the lanes of the mask; the last one runs the operation for all.
GT_EMULATOR_CODE void collective(WarpOperation& op) {
  step(op.site);
  Fiber* me = self();
  Warp& w = *me->warp;
  const unsigned mask = op.mask & w.exist;
  if (!(mask >> me->lane & 1)) fail("%s at %s:%d: the mask %08x leaves out the calling lane %u", op.name, op.site.file, op.site.line, op.mask, me->lane);
  if (mask & ~w.alive) fail("%s at %s:%d: the mask %08x names lanes that have returned (%08x)", op.name, op.site.file, op.site.line, op.mask, mask & ~w.alive);
  w.waiting[me->lane] = &op;
  for (unsigned l = 0; l < 32; l++) {
    if (!(mask >> l & 1)) continue;
    const WarpOperation* p = w.waiting[l];
    if (!p) return wait_as(State::at_warp);
    if (p->run != op.run || p->mask != op.mask || !same(p->site, op.site))
      fail("warp divergence: lane %u at %s %s:%d, lane %u at %s %s:%d", l, p->name, p->site.file, p->site.line, me->lane, op.name, op.site.file, op.site.line);
  }
  WarpOperation* lanes[32];
  for (unsigned l = 0; l < 32; l++) {
    lanes[l] = mask >> l & 1 ? w.waiting[l] : nullptr;
    if (lanes[l]) w.waiting[l] = nullptr;
  }
  op.run(lanes, mask);
  Fiber* base = me - me->lane;
  for (unsigned l = 0; l < 32; l++)
    if ((mask >> l & 1) && base[l].state == State::at_warp) make_ready(base[l]);
}

}  // namespace

GT_EMULATOR_CODE int block_barrier(int operation, int value, Site site) {
  step(site);
  Engine& e = *engine;
  Fiber* me = self();
  me->state = State::at_barrier, me->vote = value;
  e.vote_operation = operation;
#if defined(__SANITIZE_THREAD__)
  char* object = e.sync + (e.phase & 1);
  __tsan_release(object);
#endif
  if (++e.waiting == e.alive) {
    if (e.alive != e.count) fail("__syncthreads at %s:%d after %u thread(s) had returned", site.file, site.line, e.count - e.alive);
    release_barrier();
  }
  // The last one to arrive has just been made ready too: who goes on is drawn.
  Fiber* next = pick();
  if (!next) deadlock();
  if (next != me) switch_to(me, next);
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(object);
#endif
  return e.vote_result;
}

GT_EMULATOR_CODE void before_atomic(Site site) {
  step(site);
  Fiber* me = self();
  make_ready(*me);
  Fiber* next = pick();
  if (next != me) switch_to(me, next);
}

// ---- warp operations

namespace {

struct BarrierOperation : WarpOperation { char *own, *all[32]; };
GT_EMULATOR_CODE void run_barrier(WarpOperation** lanes, unsigned) {
  for (int l = 0; l < 32; l++)
    if (lanes[l])
      for (int k = 0; k < 32; k++) static_cast<BarrierOperation*>(lanes[l])->all[k] = lanes[k] ? static_cast<BarrierOperation*>(lanes[k])->own : nullptr;
}

struct ShuffleOperation : WarpOperation { uint64_t in, out; Shuffle kind; int argument, width; };
GT_EMULATOR_CODE void run_shuffle(WarpOperation** lanes, unsigned present) {
  for (int l = 0; l < 32; l++) {
    if (!lanes[l]) continue;
    auto& o = *static_cast<ShuffleOperation*>(lanes[l]);
    const int base = l & ~(o.width - 1);
    int from = l;
    switch (o.kind) {
      case Shuffle::index: from = base | (o.argument & (o.width - 1)); break;
      case Shuffle::up: from = l - o.argument < base ? l : l - o.argument; break;
      case Shuffle::down: from = l + o.argument >= base + o.width ? l : l + o.argument; break;
      case Shuffle::exclusive_or: from = (l ^ o.argument) >= base + o.width ? l : l ^ o.argument; break;
    }
    o.out = present >> from & 1 ? static_cast<ShuffleOperation*>(lanes[from])->in : ~0ull;  // an absent lane gives NaN
  }
}

struct VoteOperation : WarpOperation { int in; unsigned out; };
GT_EMULATOR_CODE void run_vote(WarpOperation** lanes, unsigned) {
  unsigned bits = 0;
  for (int l = 0; l < 32; l++)
    if (lanes[l] && static_cast<VoteOperation*>(lanes[l])->in) bits |= 1u << l;
  for (int l = 0; l < 32; l++)
    if (lanes[l]) static_cast<VoteOperation*>(lanes[l])->out = bits;
}

}  // namespace

GT_EMULATOR_CODE void warp_barrier(unsigned mask, Site site) {
  BarrierOperation op;
  op.run = run_barrier, op.mask = mask, op.name = "__syncwarp", op.site = site, op.own = nullptr;
#if defined(__SANITIZE_THREAD__)
  op.own = engine->sync + 2 + self()->linear * 4 + self()->warp_barriers++ % 4;
  __tsan_release(op.own);
#endif
  collective(op);
#if defined(__SANITIZE_THREAD__)
  for (int l = 0; l < 32; l++)
    if (op.all[l]) __tsan_acquire(op.all[l]);
#endif
}

GT_EMULATOR_CODE uint64_t shuffle(unsigned mask, uint64_t value, int argument, int width, Shuffle kind, const char* name, Site site) {
  if (width < 1 || width > 32 || (width & (width - 1))) fail("%s at %s:%d: the width is %d, expected a power of two up to 32", name, site.file, site.line, width);
  ShuffleOperation op;
  op.run = run_shuffle, op.mask = mask, op.name = name, op.site = site;
  op.in = value, op.kind = kind, op.argument = argument, op.width = width;
  collective(op);
  return op.out;
}

GT_EMULATOR_CODE unsigned vote(unsigned mask, int predicate, const char* name, Site site) {
  VoteOperation op;
  op.run = run_vote, op.mask = mask, op.name = name, op.site = site, op.in = predicate;
  collective(op);
  return op.out;
}

// ---- 16-bit numbers: by hand, since without F16C a compiler calls functions, which old systems do not have

// To nearest, ties to even.
uint16_t f16_from_float(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  const uint32_t sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x47800000) return uint16_t(sign | 0x7c00);  // from 2^16 on
  if (magnitude >= 0x38800000) return uint16_t(sign | (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13);
  // Below 2^-14 fp16 counts in steps of 2^-24, as float32 does from 1/2 on.
  f = std::fabs(f) + 0.5f;
  memcpy(&u, &f, 4);
  return uint16_t(sign | (u - 0x3f000000));
}
float float_from_f16(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 0) return (sign ? -0x1p-24f : 0x1p-24f) * float(fraction);
  const uint32_t u = sign | (exponent + (exponent == 31 ? 224 : 112)) << 23 | fraction << 13;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

// ---- tensor cores

namespace {

struct MmaOperation : WarpOperation { float* d; const uint32_t *a, *b; };

template <bool kBf16>
GT_EMULATOR_CODE double widened(uint32_t pair, int half) {
  const uint16_t bits = uint16_t(half ? pair >> 16 : pair);
  if constexpr (kBf16) {
    const uint32_t u = uint32_t(bits) << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
  } else {
    return float_from_f16(bits);
  }
}

// Groups of products added as tensor cores are known to do (Fasi et al. 2021): aligned to the largest term, cut, then cut to float32.
GT_EMULATOR_CODE float cut_sum(const double* terms, int n) {
  int top = -2000;
  double sum = 0;
  for (int i = 0; i < n; i++) {
    if (!std::isfinite(terms[i])) {
      for (int k = 0; k < n; k++) sum += terms[k];
      return float(sum);
    }
    if (terms[i] != 0 && std::ilogb(terms[i]) > top) top = std::ilogb(terms[i]);
  }
  if (top == -2000) return 0;
  const int shift = 23 + 1 - top;
  for (int i = 0; i < n; i++) sum += std::trunc(std::ldexp(terms[i], shift));
  sum = std::ldexp(sum, -shift);
  const float f = float(sum);
  return std::isfinite(f) && std::fabs(double(f)) > std::fabs(sum) ? std::nextafterf(f, 0.f) : f;
}

template <int K, bool kBf16>
GT_EMULATOR_CODE void run_mma(WarpOperation** lanes, unsigned mask) {
  if (mask != ~0u) fail("mma needs all 32 lanes");
  double A[16][K], B[K][8], D[16][8];
  for (int l = 0; l < 32; l++) {
    const auto& o = *static_cast<MmaOperation*>(lanes[l]);
    const int g = l / 4, t = l % 4;
    for (int h = 0; h < 2; h++) {
      for (int i = 0; i < K / 4; i++) A[g + 8 * (i & 1)][2 * t + 8 * (i >> 1) + h] = widened<kBf16>(o.a[i], h);
      for (int i = 0; i < K / 8; i++) B[2 * t + 8 * i + h][g] = widened<kBf16>(o.b[i], h);
      D[g][2 * t + h] = o.d[h], D[g + 8][2 * t + h] = o.d[2 + h];
    }
  }
  if (const int group = options().mma_group) {
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 8; j++)
        for (int k0 = 0; k0 < K; k0 += group) {
          double terms[17] = {D[i][j]};
          int n = 1;
          for (int k = k0; k < K && k < k0 + group; k++) terms[n++] = A[i][k] * B[k][j];
          D[i][j] = cut_sum(terms, n);
        }
  } else {
    for (int i = 0; i < 16; i++)
      for (int k = 0; k < K; k++)
        for (int j = 0; j < 8; j++) D[i][j] += A[i][k] * B[k][j];
  }
  for (int l = 0; l < 32; l++) {
    auto& o = *static_cast<MmaOperation*>(lanes[l]);
    const int g = l / 4, t = l % 4;
    for (int h = 0; h < 2; h++) o.d[h] = float(D[g][2 * t + h]), o.d[2 + h] = float(D[g + 8][2 * t + h]);
  }
}

template <int K, bool kBf16>
GT_EMULATOR_CODE void mma(float* d, const uint32_t* a, const uint32_t* b, const char* name, Site site) {
  MmaOperation op;
  op.run = run_mma<K, kBf16>, op.mask = ~0u, op.name = name, op.site = site, op.d = d, op.a = a, op.b = b;
  collective(op);
}

struct LdmatrixOperation : WarpOperation { const char* row; uint32_t* r; int matrices; bool transposed; };

// Instrumented: the sanitizers see these reads of shared memory.
__attribute__((noinline)) uint32_t see_32(const char* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}
__attribute__((noinline)) uint16_t see_16(const char* p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return v;
}
__attribute__((noinline)) void see_copy(char* to, const char* from) {  // 16 bytes, zeros from nowhere
  for (int i = 0; i < 16; i += 4) {
    const uint32_t v = from ? see_32(from + i) : 0;
    memcpy(to + i, &v, 4);
  }
}

GT_EMULATOR_CODE void run_ldmatrix(WarpOperation** lanes, unsigned mask) {
  if (mask != ~0u) fail("ldmatrix needs all 32 lanes");
  const char* rows[32];
  for (int l = 0; l < 32; l++) rows[l] = static_cast<LdmatrixOperation*>(lanes[l])->row;
  const LdmatrixOperation& first = *static_cast<LdmatrixOperation*>(lanes[0]);
  for (int m = 0; m < first.matrices; m++) {
    const char** row = rows + m * 8;
    int uses[8] = {}, waves = 1;  // eight rows of 16 bytes over 32 banks of 4: one wave where their bank groups all differ
    for (int i = 0; i < 8; i++) {
      const uintptr_t address = reinterpret_cast<uintptr_t>(row[i]);
      if (address % 16) fail("ldmatrix at %s:%d: lane %d gives an address that is not a multiple of 16", first.site.file, first.site.line, m * 8 + i);
      if (++uses[address / 16 % 8] > waves) waves = uses[address / 16 % 8];
    }
    counters().ldmatrix++, counters().ldmatrix_waves += unsigned(waves);
    for (int l = 0; l < 32; l++) {
      uint32_t& r = static_cast<LdmatrixOperation*>(lanes[l])->r[m];
      if (!first.transposed) r = see_32(row[l / 4] + 4 * (l % 4));
      else r = see_16(row[2 * (l % 4)] + 2 * (l / 4)) | uint32_t(see_16(row[2 * (l % 4) + 1] + 2 * (l / 4))) << 16;
    }
  }
}

GT_EMULATOR_CODE void need_sm80(const char* name, Site site) {
  if (engine->level < gpu::Level::sm80) fail("%s at %s:%d needs sm_80, the launch is for sm_75", name, site.file, site.line);
}

}  // namespace

void mma_m16n8k8_f16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, Site site) {
  const uint32_t a[2] = {a0, a1};
  mma<8, false>(d, a, &b, "mma.m16n8k8", site);
}
void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
  need_sm80("mma.m16n8k16", site);
  const uint32_t b[2] = {b0, b1};
  mma<16, false>(d, a, b, "mma.m16n8k16", site);
}
void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
  need_sm80("mma.m16n8k16.bf16", site);
  const uint32_t b[2] = {b0, b1};
  mma<16, true>(d, a, b, "mma.m16n8k16.bf16", site);
}

GT_EMULATOR_CODE void ldmatrix(uint32_t* r, const void* row, int matrices, bool transposed, Site site) {
  LdmatrixOperation op;
  op.run = run_ldmatrix, op.mask = ~0u, op.name = "ldmatrix", op.site = site;
  op.row = static_cast<const char*>(row), op.r = r, op.matrices = matrices, op.transposed = transposed;
  collective(op);
}

// ---- cp.async

GT_EMULATOR_CODE void copy_async_16(void* to, const void* from, bool valid, Site site) {
  need_sm80("cp.async", site);
  Fiber* me = self();
  if (reinterpret_cast<uintptr_t>(to) % 16 || (valid && reinterpret_cast<uintptr_t>(from) % 16)) fail("cp.async at %s:%d from or to an address that is not a multiple of 16", site.file, site.line);
  const Options::Landing landing = options().landing;
  if (landing == Options::at_issue || (landing == Options::either && (draw() & 1))) return see_copy(static_cast<char*>(to), valid ? static_cast<const char*>(from) : nullptr);
  if (me->num_copies == 64) fail("over 64 cp.async in flight in one thread at %s:%d", site.file, site.line);
  PendingCopy& c = me->copies[me->num_copies++];
  c.to = to, c.from = from, c.valid = valid, c.group = me->groups;
}
GT_EMULATOR_CODE void copy_async_commit() { self()->groups++; }
GT_EMULATOR_CODE void copy_async_wait_for(int pending) {
  Fiber* me = self();
  int kept = 0;
  for (int i = 0; i < me->num_copies; i++) {
    const PendingCopy c = me->copies[i];
    if (c.group < me->groups - pending) see_copy(static_cast<char*>(c.to), c.valid ? static_cast<const char*>(c.from) : nullptr);
    else me->copies[kept++] = c;
  }
  me->num_copies = kept;
}

}  // namespace gt::emulated
