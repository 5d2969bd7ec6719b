#include "model/activations.h"

namespace gt {

static void add_layer(Arena& arena, LayerActivations& a, const Config& c, DType t, int64_t T) {
  const int64_t C = c.hidden_size, H = c.num_heads, K = c.num_kv_heads, D = c.head_dim, I = c.intermediate_size;
  arena.add(&a.input_normed, t, {T, C});
  arena.add(&a.input_rstd, DType::f32, {T});
  arena.add(&a.qkv, t, {T, H + 2 * K, D});
  arena.add(&a.q, t, {T, H, D});
  arena.add(&a.k, t, {T, K, D});
  arena.add(&a.qk_rstd, DType::f32, {T, H + K});
  arena.add(&a.attended, t, {T, H, D});
  arena.add(&a.lse, DType::f32, {T, H});
  arena.add(&a.o, t, {T, C});
  arena.add(&a.o_rstd, DType::f32, {T});
  arena.add(&a.middle, DType::f32, {T, C});
  arena.add(&a.middle_normed, t, {T, C});
  arena.add(&a.middle_rstd, DType::f32, {T});
  arena.add(&a.gate_up, t, {T, 2 * I});
  arena.add(&a.h, t, {T, I});
  arena.add(&a.down, t, {T, C});
  arena.add(&a.down_rstd, DType::f32, {T});
}

Activations make_activations(Device& device, Buffer& memory, const Config& c, DType t, int64_t T, Keep keep) {
  const int64_t C = c.hidden_size, H = c.num_heads, K = c.num_kv_heads, D = c.head_dim, I = c.intermediate_size;
  Activations a;
  a.T = T;
  a.x.resize(size_t(c.num_layers) + 1);
  a.layers.resize(size_t(c.num_layers));
  Arena arena;
  arena.add(&a.positions, DType::i32, {T});

  // Forward only needs two residual streams at a time: a layer's input and its output.
  const size_t streams = keep == Keep::none ? 2 : a.x.size();
  for (size_t l = 0; l < streams; l++) arena.add(&a.x[l], DType::f32, {T, C});
  const size_t kept = keep == Keep::all ? a.layers.size() : 1;
  for (size_t l = 0; l < kept; l++) add_layer(arena, a.layers[l], c, t, T);
  if (keep != Keep::none) {
    LayerGradients& g = a.gradients;
    arena.add(&g.dx, DType::f32, {T, C});
    arena.add(&g.dbranch, t, {T, C});
    arena.add(&g.dh, t, {T, I});
    arena.add(&g.dattended, t, {T, H, D});
    arena.add(&g.dq, t, {T, H, D});
    arena.add(&g.dk, t, {T, K, D});
    arena.add(&g.dqkv, t, {T, H + 2 * K, D});
  }
  arena.allocate(device, memory);
  for (size_t l = streams; l < a.x.size(); l++) a.x[l] = a.x[l % streams];
  for (size_t l = kept; l < a.layers.size(); l++) a.layers[l] = a.layers[0];
  return a;
}

}  // namespace gt
