// The CPU backends of attention but for their Math (tiles.h): hands the blocks that the door cut to the threads.
#pragma once
#include <type_traits>

#include "cpu/rows.h"
#include "ops/attention/blocks.h"

namespace gt::cpu {
namespace {

// body(task, scratch): as many tasks at a time as there are slots of scratch
template <class Math, class Body>
void run_with_scratch(Threads& threads, int64_t tasks, int64_t D, float* scratch, int64_t slots, const Body& body) {
  int64_t next = 0;
  threads.run(slots, [&](int64_t slot) {
    const Scratch<Math> mine(scratch + slot * attention_scratch(D), D);
    for (int64_t task; (task = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < tasks;) body(task, mine);
  });
}

// Where the rows of a task lie: tensors with the query heads [T, H, width], the kv heads [T, K, D], and fused [T, H + 2K, D], whose last
// K heads are the values.
template <class T>
GroupRows<T> rows_of(const AttentionShape& shape, const AttentionTensors& x, const AttentionBlock& block) {
  const int64_t H = shape.H, K = shape.K, D = shape.D, group = H / K;
  auto rows = [&](auto* tensor, int64_t heads, int64_t first_head, int64_t of_group, int64_t width) {
    return Rows<std::remove_pointer_t<decltype(tensor)>>{tensor ? tensor + (block.start * heads + first_head) * width : nullptr, heads * width, of_group, width};
  };
  auto queries = [&](void* tensor) { return rows((T*)tensor, H, block.head * group, group, D); };
  auto statistics = [&](float* tensor) { return rows(tensor, H, block.head * group, group, 1); };
  auto keys = [&](void* tensor) { return rows((T*)tensor, K, block.head, 1, D); };
  auto values = [&](void* tensor) { return rows((T*)tensor, H + 2 * K, H + K + block.head, 1, D); };
  return {queries(x.q), queries(x.out), queries(x.dout), queries(x.dq), statistics(x.lse), statistics(x.delta), keys(x.k), values(x.qkv), keys(x.dk), values(x.dqkv)};
}

// body(rows of the sequence and kv head, visible keys, scratch) for every query block
template <class Math, class T, class Body>
void for_query_blocks(Threads& threads, const AttentionShape& shape, const AttentionTensors& x, const AttentionTasks& tasks, const Body& body) {
  run_with_scratch<Math>(threads, tasks.query_count, shape.D, tasks.scratch, tasks.slots, [&](int64_t task, const Scratch<Math>& s) {
    const AttentionBlock& block = tasks.query_blocks[task];
    body(rows_of<T>(shape, x, block), Visible(0, shape.H / shape.K, shape.window, block.first, block.count), s);
  });
}

template <class Math, class T>
void forward(Threads& threads, const AttentionShape& shape, const AttentionTensors& x, const AttentionTasks& tasks) {
  for_query_blocks<Math, T>(threads, shape, x, tasks, [&](const GroupRows<T>& rows, const Visible& visible, const Scratch<Math>& s) { forward_block(rows, visible, shape.scale, s); });
}

// delta[r] = sum_d dout[r, d] · out[r, d], rows [begin, end)
template <class T>
void delta_rows(float* delta, const T* dout, const T* out, int64_t begin, int64_t end, int64_t D) {
  for (int64_t r = begin; r < end; r++) {
    f32x16 dots{};
    lanes(D, [&](int64_t d, int64_t n) { dots += get(dout + r * D + d, n) * get(out + r * D + d, n); });
    delta[r] = sum(dots);
  }
}

template <class Math, class T>
void backward(Threads& threads, const AttentionShape& shape, const AttentionTensors& x, const AttentionTasks& tasks) {
  threads.ranges(x.T * shape.H, kStreamed, [&](int64_t b, int64_t e) { delta_rows(x.delta, (const T*)x.dout, (const T*)x.out, b, e, shape.D); });
  for_query_blocks<Math, T>(threads, shape, x, tasks, [&](const GroupRows<T>& rows, const Visible& visible, const Scratch<Math>& s) { backward_query_block(rows, visible, shape.scale, s); });
  run_with_scratch<Math>(threads, tasks.key_count, shape.D, tasks.scratch, tasks.slots, [&](int64_t task, const Scratch<Math>& s) {
    const AttentionBlock& block = tasks.key_blocks[task];
    backward_key_block(rows_of<T>(shape, x, block), block.length, block.first, block.count, shape.window, shape.scale, s);
  });
}

// Sequence b is q[b] at position lengths[b] - 1 of a cache that starts at token b · L. More than kOwned heads in a group take several blocks.
template <class Math, class T>
void decode(Threads& threads, const AttentionShape& shape, void* out, void* q, void* key_cache, void* value_cache, const int32_t* lengths, int64_t B, int64_t L, float* scratch, int64_t slots) {
  run_with_scratch<Math>(threads, B * shape.K, shape.D, scratch, slots, [&](int64_t task, const Scratch<Math>& s) {
    const int64_t b = task / shape.K, head = task % shape.K, group = shape.H / shape.K;
    AttentionTensors tokens, keys, values;
    tokens.q = q, tokens.out = out, keys.k = key_cache, values.k = value_cache;
    GroupRows<T> rows = rows_of<T>(shape, tokens, {b, 1, head, 0, group});
    rows.k = rows_of<T>(shape, keys, {b * L, L, head, 0, L}).k;
    rows.v = rows_of<T>(shape, values, {b * L, L, head, 0, L}).k;  // the value cache has the layout of keys
    for (int64_t first = 0; first < group; first += kOwned)
      forward_block(rows, Visible(lengths[b] - 1, group, shape.window, first, smaller(kOwned, group - first)), shape.scale, s);
  });
}

template <class Math, class T>
constexpr Attention kBackend = {forward<Math, T>, backward<Math, T>, decode<Math, T>};

}  // namespace
}  // namespace gt::cpu
