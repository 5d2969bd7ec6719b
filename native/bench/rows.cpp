// Ops that walk over the tokens' rows, bound by memory: embedding, norms, rotation, GeGLU, and the choice of supervised rows.
#include <algorithm>

#include "bench/cases.h"
#include "ops/embedding/embedding.h"
#include "ops/gather/gather.h"
#include "ops/geglu/geglu.h"
#include "ops/qk_norm_rope/qk_norm_rope.h"
#include "ops/rmsnorm/rmsnorm.h"

namespace gt::bench {

constexpr float kEps = 1e-6f;

void embedding(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  const std::vector<int32_t> tokens = ids(T, s.V);
  std::vector<int32_t> distinct = tokens;
  std::sort(distinct.begin(), distinct.end());
  const int64_t rows = std::unique(distinct.begin(), distinct.end()) - distinct.begin();
  Data x = b.f32({T, s.C}), table = b.values({s.V, s.C}), dtable = b.f32({s.V, s.C});
  b.run("embedding_forward", dims({T, s.C}), (1 + double(size_of(b.dtype)) / 4) * moved({x}), 0, {1, 1}, [&] { embedding_forward(b.device, x, table, host(tokens), 25.25f); });
  b.run("embedding_backward", dims({T, s.C}), moved({x}) + 8. * double(rows * s.C), 0, {1, 1}, [&] { embedding_backward(b.device, dtable, x, host(tokens), 25.25f); });
}

void rmsnorm(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T(), L = s.layers;
  Data x = b.f32({T, s.C}), out = b.f32({T, s.C}), branch = b.values({T, s.C}), normed = b.values({T, s.C}), rstd = b.f32({T}), next_rstd = b.f32({T});
  Data weight = b.values({s.C}), next_weight = b.values({s.C}), dweight = b.f32({s.C}), dnext_weight = b.f32({s.C});
  const std::string shape = dims({T, s.C});
  b.run("rmsnorm_forward", shape, moved({normed, rstd, x, weight}), 0, {1, 1}, [&] { rmsnorm_forward(b.device, normed, rstd, x, weight, kEps); });
  b.run("rmsnorm_residual_rmsnorm_forward", shape, moved({out, normed, rstd, next_rstd, x, branch, weight, next_weight}), 0, {2 * L - 1, 2 * L - 1},
        [&] { rmsnorm_residual_rmsnorm_forward(b.device, out, normed, rstd, next_rstd, x, branch, weight, next_weight, kEps); });
  b.run("rmsnorm_residual_forward", shape, moved({out, rstd, x, branch, weight}), 0, {1, 1}, [&] { rmsnorm_residual_forward(b.device, out, rstd, x, branch, weight, kEps); });
  b.run("rmsnorm_backward (of a branch)", shape, moved({normed, dweight, dweight, x, branch, weight, rstd}), 0, {1, 1},
        [&] { rmsnorm_backward(b.device, normed, false, dweight, x, branch, weight, rstd); });
  b.run("rmsnorm_residual_rmsnorm_backward", shape, moved({branch, out, out, dweight, dweight, dnext_weight, dnext_weight, normed, branch, rstd, x, next_rstd}), 0, {2 * L - 1, 2 * L - 1},
        [&] { rmsnorm_residual_rmsnorm_backward(b.device, normed, out, dweight, dnext_weight, normed, branch, weight, rstd, x, next_weight, next_rstd); });
  b.run("rmsnorm_backward (+=)", shape, moved({out, out, dweight, dweight, branch, x, weight, rstd}), 0, {1, 1},
        [&] { rmsnorm_backward(b.device, out, true, dweight, branch, x, weight, rstd); });
  for (const bool completion : {true, false}) {
    const int64_t R = s.sequences * (completion ? s.supervised : s.length - 1);
    const Tensor few = x.tensor.rows(0, R), dfew = out.tensor.rows(0, R), y = normed.tensor.rows(0, R), r = rstd.tensor.rows(0, R);
    const PerStep once{completion ? 1 : 0, completion ? 0 : 1};
    b.run("rmsnorm_forward (head)", dims({R, s.C}), moved({y, r, few, weight}), 0, once, [&] { rmsnorm_forward(b.device, y, r, few, weight, kEps); });
    b.run("rmsnorm_backward (head)", dims({R, s.C}), moved({dfew, dweight, dweight, y, few, weight, r}), 0, once,
          [&] { rmsnorm_backward(b.device, dfew, false, dweight, y, few, weight, r); });
  }
}

void qk_norm_rope(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  Data q = b.values({T, s.H, s.D}), k = b.values({T, s.K, s.D}), rstd = b.f32({T, s.H + s.K}), qkv = b.values({T, s.H + 2 * s.K, s.D}), dqkv = b.values({T, s.H + 2 * s.K, s.D});
  Data q_weight = b.values({s.D}), k_weight = b.values({s.D}), dq_weight = b.f32({s.D}), dk_weight = b.f32({s.D});
  Data cos = b.f32({s.length, s.D / 2}), sin = b.f32({s.length, s.D / 2}), positions = b.zeros(DType::i32, {T});
  b.run("qk_norm_rope_forward", dims({T, s.H + s.K, s.D}), moved({q, k, q, k, rstd, cos, sin, positions}), 0, {s.layers, s.layers},
        [&] { qk_norm_rope_forward(b.device, q, k, rstd, qkv, q_weight, k_weight, cos, sin, positions, kEps); });
  b.run("qk_norm_rope_backward", dims({T, s.H + s.K, s.D}), moved({q, k, q, k, q, k, rstd, cos, sin, positions}), 0, {s.layers, s.layers},
        [&] { qk_norm_rope_backward(b.device, dqkv, dq_weight, dk_weight, q, k, qkv, q_weight, k_weight, rstd, cos, sin, positions); });
}

void geglu(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  Data h = b.values({T, s.I}), gate_up = b.values({T, 2 * s.I}), dgate_up = b.values({T, 2 * s.I});
  b.run("geglu_forward", dims({T, s.I}), moved({h, gate_up}), 0, {s.layers, s.layers}, [&] { geglu_forward(b.device, h, gate_up); });
  b.run("geglu_backward", dims({T, s.I}), moved({dgate_up, h, gate_up}), 0, {s.layers, s.layers}, [&] { geglu_backward(b.device, dgate_up, h, gate_up); });
}

void gather(Bench& b) {
  const Shapes& s = b.shapes;
  for (const bool completion : {true, false}) {
    const std::vector<int32_t> rows = supervised_rows(s, completion ? s.supervised : s.length - 1);
    const int64_t T = s.T(), R = int64_t(rows.size());
    const PerStep once{completion ? 1 : 0, completion ? 0 : 1};
    Data x = b.f32({T, s.C}), y = b.f32({R, s.C});
    b.run("gather_rows", dims({R, s.C}), moved({y, y}), 0, once, [&] { gather_rows(b.device, y, x, host(rows)); });
    b.run("scatter_rows", dims({T, R, s.C}), moved({x, y, y}), 0, once, [&] { scatter_rows(b.device, x, y, host(rows)); });
  }
}

}  // namespace gt::bench
