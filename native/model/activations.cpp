#include "model/activations.h"

namespace gt {

// The outputs of norms, rope and GeGLU: what Keep::most lets all layers share.
static void add_elementwise(Arena& arena, LayerActivations& a, const Config& c, DType t, int64_t T) {
  arena.add(&a.input_normed, t, {T, c.hidden_size});
  arena.add(&a.q, t, {T, c.num_heads, c.head_dim});
  arena.add(&a.k, t, {T, c.num_kv_heads, c.head_dim});
  arena.add(&a.middle_normed, t, {T, c.hidden_size});
  arena.add(&a.h, t, {T, c.intermediate_size});
}

static void add_layer(Arena& arena, LayerActivations& a, const Config& c, DType t, int64_t T) {
  const int64_t C = c.hidden_size, H = c.num_heads, K = c.num_kv_heads, D = c.head_dim, I = c.intermediate_size;
  arena.add(&a.qkv, t, {T, H + 2 * K, D});
  arena.add(&a.qk_rstd, DType::f32, {T, H + K});
  arena.add(&a.attended, t, {T, H, D});
  arena.add(&a.lse, DType::f32, {T, H});
  arena.add(&a.o, t, {T, C});
  arena.add(&a.o_rstd, DType::f32, {T});
  arena.add(&a.middle, DType::f32, {T, C});
  arena.add(&a.middle_rstd, DType::f32, {T});
  arena.add(&a.gate_up, t, {T, 2 * I});
  arena.add(&a.down, t, {T, C});
  arena.add(&a.down_rstd, DType::f32, {T});
}

// Fills `a` with shapes; which tensors share memory follows from `keep`.
static void lay_out(Arena& arena, Activations& a, const Config& c, DType t, int64_t T, Keep keep) {
  const int64_t C = c.hidden_size, H = c.num_heads, K = c.num_kv_heads, D = c.head_dim, I = c.intermediate_size;
  a.T = T;
  a.x.resize(size_t(c.num_layers) + 1);
  a.layers.resize(size_t(c.num_layers));
  arena.add(&a.positions, DType::i32, {T});
  // Forward only needs two residual streams at a time: a layer's input and its output.
  const size_t streams = keep == Keep::none ? 2 : a.x.size(), layers = a.layers.size();
  for (size_t l = 0; l < streams; l++) arena.add(&a.x[l], DType::f32, {T, C});
  for (size_t l = 0; l < (keep == Keep::none ? 1 : layers); l++) arena.add(&a.layers[l].input_rstd, DType::f32, {T});
  for (size_t l = 0; l < (keep >= Keep::most ? layers : 1); l++) add_layer(arena, a.layers[l], c, t, T);
  for (size_t l = 0; l < (keep == Keep::all ? layers : 1); l++) add_elementwise(arena, a.layers[l], c, t, T);
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
}

int64_t activation_bytes(const Config& config, DType dtype, int64_t T, Keep keep) {
  Arena arena;
  Activations a;
  lay_out(arena, a, config, dtype, T, keep);
  return arena.bytes();
}

Activations make_activations(Device& device, Buffer& memory, const Config& config, DType dtype, int64_t T, Keep keep) {
  Arena arena;
  Activations a;
  lay_out(arena, a, config, dtype, T, keep);
  arena.allocate(device, memory);
  if (keep == Keep::none)
    for (size_t l = 2; l < a.x.size(); l++) a.x[l] = a.x[l % 2];
  for (size_t l = 1; l < a.layers.size(); l++) {
    LayerActivations& layer = a.layers[l];
    const LayerActivations& first = a.layers[0];
    const Tensor input_rstd = keep == Keep::none ? first.input_rstd : layer.input_rstd;
    if (keep < Keep::most) layer = first;
    layer.input_rstd = input_rstd;
    if (keep == Keep::most) layer.input_normed = first.input_normed, layer.q = first.q, layer.k = first.k, layer.middle_normed = first.middle_normed, layer.h = first.h;
  }
  return a;
}

}  // namespace gt
