// The calls that are measured: every op through its door, at the shapes of a training step and of generation. What becomes of a call is
// the program's business: ops_bench times it, gpu_plan notes what it would launch.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/tensor.h"

namespace gt::bench {

struct Shapes {
  int64_t sequences, length, supervised;  // supervised tokens of a sequence
  int64_t C, H, K, D, I, V, layers, window;
  int64_t matrices, norms;  // parameters
  int64_t B, cached;        // generation: sequences at once, tokens in the cache of each
  int64_t chunk;            // rows whose logits are held at once
  int64_t few_tokens;       // of a small batch: two rows of the tutorial's data
  int64_t T() const { return sequences * length; }
};
// A step of a GPU is one pass over all its sequences. A pass of the CPU, whose step is several, is the small batch.
constexpr Shapes kGpuStep{16, 512, 60, 640, 4, 1, 256, 2048, 262144, 18, 512, 268042240, 55936, 64, 512, 2044, 554};
constexpr Shapes kCpuPass{2, 277, 60, 640, 4, 1, 256, 2048, 262144, 18, 512, 268042240, 55936, 64, 512, 512, 554};
// For the emulator: it shows that all of this runs.
constexpr Shapes kTiny{2, 20, 3, 64, 2, 1, 32, 96, 384, 2, 16, 4096, 200, 8, 24, 19, 12};

// How often a step of these shapes does this with loss on the completions (`supervised` tokens of a sequence) and on all tokens, when
// activations are kept.
struct PerStep {
  int64_t completion, full;
};

struct Call {
  const char* op;
  std::string shape;  // text for people, and the key of a budget
  double bytes;       // every operand once, twice where it is read and written: the least that can move
  double flops;       // of products, those that the mathematics needs
  PerStep per_step;
};

// A tensor on the device with numbers from -scale to scale (ints: zero).
struct Data {
  Buffer memory;
  Tensor tensor;
  Data(Device& device, DType dtype, std::initializer_list<int64_t> shape, float scale = 1);
  operator const Tensor&() const { return tensor; }
};

class Bench {
 public:
  using Measure = std::function<void(const Call&, const std::function<void()>& body)>;
  Bench(Device& device, DType dtype, const Shapes& shapes, Measure measure) : device(device), dtype(dtype), shapes(shapes), measure_(std::move(measure)) {}

  Device& device;
  const DType dtype;  // of the model
  const Shapes shapes;

  Data values(std::initializer_list<int64_t> shape) { return Data(device, dtype, shape); }
  Data f32(std::initializer_list<int64_t> shape) { return Data(device, DType::f32, shape); }
  Data zeros(DType type, std::initializer_list<int64_t> shape) { return Data(device, type, shape); }

  void run(const char* op, const std::string& shape, double bytes, double flops, PerStep per_step, const std::function<void()>& body) {
    measure_({op, shape, bytes, flops, per_step}, body);
  }

 private:
  Measure measure_;
};

// The calls of one op; `name` is its folder in native/ops, or "step" for the whole training step.
struct Case {
  const char* name;
  void (*body)(Bench&);
};
// In the order of a step, the whole step last.
const std::vector<Case>& cases();
// Those whose name starts with one of `filters`, all if there is none. Throws Error(kArgument) for a filter that fits no name.
std::vector<Case> cases(const std::vector<std::string>& filters);

// ---- what the cases share

double moved(std::initializer_list<Tensor> operands);    // bytes
std::string dims(std::initializer_list<int64_t> sizes);  // "8192x640"
// Distinct-looking ids below `limit`, the same every time.
std::vector<int32_t> ids(int64_t n, int64_t limit);
// Supervised rows: the last `count` tokens of each sequence that predict one.
std::vector<int32_t> supervised_rows(const Shapes& s, int64_t count);
std::vector<int32_t> even_starts(const Shapes& s);
inline Tensor host(const std::vector<int32_t>& v) { return host_ids(v.data(), int64_t(v.size())); }

void embedding(Bench&);
void rmsnorm(Bench&);
void matmul(Bench&);
void qk_norm_rope(Bench&);
void attention(Bench&);
void geglu(Bench&);
void gather(Bench&);
void cross_entropy(Bench&);
void kv_cache(Bench&);
void global_norm(Bench&);
void adamw(Bench&);
void sampling(Bench&);
void step(Bench&);

}  // namespace gt::bench
