// What a pass over T packed tokens holds. Every tensor lies in one arena; `dtype` is the model's (float32 or bfloat16), and the
// residual stream is float32 always: it is the tensor that grows large, and 4 bytes of it a token are cheap.
#pragma once
#include <vector>

#include "core/arena.h"
#include "model/config.h"

namespace gt {

// One layer's tensors, all kept for its backward pass.
struct LayerActivations {
  Tensor input_normed;  // [T, C] operand of qkv
  Tensor input_rstd;    // [T] float32
  Tensor qkv;           // [T, H + 2K, D] before norm and rope; its last K heads are the values
  Tensor q, k;          // [T, H, D], [T, K, D] after norm and rope
  Tensor qk_rstd;       // [T, H + K] float32
  Tensor attended;      // [T, H, D]
  Tensor lse;           // [T, H] float32
  Tensor o;             // [T, C] output projection
  Tensor o_rstd;        // [T] float32
  Tensor middle;        // [T, C] float32: residual stream after attention
  Tensor middle_normed; // [T, C] operand of gate_up
  Tensor middle_rstd;   // [T] float32
  Tensor gate_up;       // [T, 2I]
  Tensor h;             // [T, I]
  Tensor down;          // [T, C]
  Tensor down_rstd;     // [T] float32
};

// Gradients of one layer at a time, reused by all layers.
struct LayerGradients {
  Tensor dx;       // [T, C] float32: gradient of the residual stream, carried from layer to layer
  Tensor dbranch;  // [T, C] gradient of o or down, then of a norm's output
  Tensor dh;       // [T, I]
  Tensor dattended, dq, dk, dqkv;
};

enum class Keep {
  none,    // forward only: every layer uses the same tensors
  inputs,  // gradient checkpointing: the layers' inputs (and input_rstd) are kept, one layer's tensors are recomputed in backward
  most,    // all but what norms, rope and GeGLU make, which is recomputed in backward
  all,
};

struct Activations {
  int64_t T = 0;
  Tensor positions;                      // [T] int32, position of each token in its sequence
  std::vector<Tensor> x;                 // [L + 1] of [T, C] float32: residual stream into layer l; x[L] is the output
  std::vector<LayerActivations> layers;  // [L]; views of the same memory unless Keep::all
  LayerGradients gradients;              // empty with Keep::none
};

// Bytes that make_activations takes.
int64_t activation_bytes(const Config& config, DType dtype, int64_t T, Keep keep);

// Lays an Activations out in `memory`, which grows when it is too small and is kept for the next pass.
Activations make_activations(Device& device, Buffer& memory, const Config& config, DType dtype, int64_t T, Keep keep);

}  // namespace gt
