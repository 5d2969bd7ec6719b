// CPU backend of attention in float32 arithmetic; bfloat16 tensors are widened on their way to scratch.
#include "ops/attention/tasks.h"

namespace gt::cpu {
namespace {

const Attention& of(const AttentionShape& shape) { return shape.dtype == DType::f32 ? kBackend<Floats, float> : kBackend<Floats, bf16>; }

void forward_any(Threads& threads, const AttentionShape& shape, const AttentionTensors& x, const AttentionTasks& tasks) { of(shape).forward(threads, shape, x, tasks); }
void backward_any(Threads& threads, const AttentionShape& shape, const AttentionTensors& x, const AttentionTasks& tasks) { of(shape).backward(threads, shape, x, tasks); }
void decode_any(Threads& threads, const AttentionShape& shape, void* out, void* q, void* key_cache, void* value_cache, const int32_t* lengths, int64_t B, int64_t L, float* scratch, int64_t slots) {
  of(shape).decode(threads, shape, out, q, key_cache, value_cache, lengths, B, L, scratch, slots);
}

}  // namespace

extern const Attention GT_TABLE(attention);
const Attention GT_TABLE(attention) = {forward_any, backward_any, decode_any};

}  // namespace gt::cpu
