#include "model/block.h"

#include "ops/attention/attention.h"
#include "ops/geglu/geglu.h"
#include "ops/matmul/matmul.h"
#include "ops/qk_norm_rope/qk_norm_rope.h"
#include "ops/rmsnorm/rmsnorm.h"

namespace gt {

// [T, H, D] seen as [T, H·D], for the matrix products.
static Tensor flat(const Tensor& t) { return Tensor(t.data, t.dtype, {t.shape[0], t.count() / t.shape[0]}); }

void input_norm_forward(Device& device, const Config& config, const ParameterTable::Layer& w, const Tensor& x_in, LayerActivations& a) {
  rmsnorm_forward(device, a.input_normed, a.input_rstd, x_in, w.input_norm, float(config.rms_norm_eps));
}

void block_forward(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, const Tensor& x_out, LayerActivations& a, const Attend& attend, const NextNorm& next) {
  const float eps = float(config.rms_norm_eps);

  matmul_forward(device, flat(a.qkv), a.input_normed, w.qkv);
  qk_norm_rope_forward(device, a.q, a.k, a.qk_rstd, a.qkv, w.q_norm, w.k_norm, rope.cos, rope.sin, positions, eps);
  attend(a);
  matmul_forward(device, a.o, flat(a.attended), w.o);
  rmsnorm_residual_rmsnorm_forward(device, a.middle, a.middle_normed, a.o_rstd, a.middle_rstd, x_in, a.o, w.post_attention_norm, w.pre_feedforward_norm, eps);

  matmul_forward(device, a.gate_up, a.middle_normed, w.gate_up);
  geglu_forward(device, a.h, a.gate_up);
  matmul_forward(device, a.down, a.h, w.down);
  if (next) rmsnorm_residual_rmsnorm_forward(device, x_out, next.normed, a.down_rstd, next.rstd, a.middle, a.down, w.post_feedforward_norm, next.weight, eps);
  else rmsnorm_residual_forward(device, x_out, a.down_rstd, a.middle, a.down, w.post_feedforward_norm, eps);
}

void block_recompute_elementwise(Device& device, const Config& config, const ParameterTable::Layer& w, const Rope& rope, const Tensor& positions, const Tensor& x_in, LayerActivations& a) {
  const float eps = float(config.rms_norm_eps);
  input_norm_forward(device, config, w, x_in, a);
  qk_norm_rope_forward(device, a.q, a.k, a.qk_rstd, a.qkv, w.q_norm, w.k_norm, rope.cos, rope.sin, positions, eps);
  rmsnorm_forward(device, a.middle_normed, a.middle_rstd, a.middle, w.pre_feedforward_norm, eps);
  geglu_forward(device, a.h, a.gate_up);
}

void block_backward(Device& device, const Config& config, int64_t layer, const ParameterTable::Layer& w, const ParameterTable::Layer& dw, const Rope& rope, const Packing& packing, const Tensor& x_out, LayerActivations& a, LayerGradients& g, const NextNorm& next) {
  const Tensor& dgate_up = a.gate_up;  // in place: gate and up are not needed after their gradient

  if (next) rmsnorm_residual_rmsnorm_backward(device, g.dbranch, g.dx, dw.post_feedforward_norm, next.dweight, g.dbranch, a.down, w.post_feedforward_norm, a.down_rstd, x_out, next.weight, next.rstd);
  else rmsnorm_backward(device, g.dbranch, false, dw.post_feedforward_norm, g.dx, a.down, w.post_feedforward_norm, a.down_rstd);
  matmul_backward_weight(device, dw.down, g.dbranch, a.h);
  matmul_backward_input(device, g.dh, g.dbranch, w.down);
  geglu_backward(device, dgate_up, g.dh, a.gate_up);
  matmul_backward_weight(device, dw.gate_up, dgate_up, a.middle_normed);
  matmul_backward_input(device, g.dbranch, dgate_up, w.gate_up);

  rmsnorm_residual_rmsnorm_backward(device, g.dbranch, g.dx, dw.post_attention_norm, dw.pre_feedforward_norm, g.dbranch, a.o, w.post_attention_norm, a.o_rstd, a.middle, w.pre_feedforward_norm, a.middle_rstd);
  matmul_backward_weight(device, dw.o, g.dbranch, flat(a.attended));
  matmul_backward_input(device, flat(g.dattended), g.dbranch, w.o);
  attention_backward(device, g.dq, g.dk, g.dqkv, g.dattended, a.attended, a.lse, a.q, a.k, a.qkv, packing.starts, config.attention_scale(), config.window(layer));
  qk_norm_rope_backward(device, g.dqkv, dw.q_norm, dw.k_norm, g.dq, g.dk, a.qkv, w.q_norm, w.k_norm, a.qk_rstd, rope.cos, rope.sin, packing.positions);
  matmul_backward_weight(device, dw.qkv, flat(g.dqkv), a.input_normed);
  matmul_backward_input(device, g.dbranch, flat(g.dqkv), w.qkv);
}

void input_norm_backward(Device& device, const ParameterTable::Layer& w, const ParameterTable::Layer& dw, const Tensor& x_in, const LayerActivations& a, LayerGradients& g) {
  rmsnorm_backward(device, g.dx, true, dw.input_norm, g.dbranch, x_in, w.input_norm, a.input_rstd);
}

}  // namespace gt
