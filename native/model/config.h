// The shape of a Gemma 3 text model. Field names follow config.json.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/error.h"

namespace gt {

struct Config {
  int64_t vocab_size = 0;         // V
  int64_t hidden_size = 0;        // C
  int64_t num_layers = 0;         // L
  int64_t num_heads = 0;          // H
  int64_t num_kv_heads = 0;       // K
  int64_t head_dim = 0;           // D
  int64_t intermediate_size = 0;  // I
  int64_t sliding_window = 0;
  std::vector<uint8_t> full_attention;  // [L] 1 = full, 0 = sliding window
  double rope_theta = 1e6;              // full layers
  double rope_local_theta = 1e4;        // sliding layers
  double rope_factor = 1;               // linear scaling, full layers only
  double rms_norm_eps = 1e-6;
  double query_pre_attn_scalar = 256;
  int64_t max_position_embeddings = 32768;

  float attention_scale() const { return float(1 / std::sqrt(query_pre_attn_scalar)); }
  int64_t window(int64_t layer) const { return full_attention[size_t(layer)] ? 0 : sliding_window; }

  void validate() const {
    struct Size { const char* name; int64_t value; int64_t limit; };
    for (Size s : {Size{"vocab_size", vocab_size, 1 << 24}, {"hidden_size", hidden_size, 1 << 16}, {"num_hidden_layers", num_layers, 1024},
                   {"num_attention_heads", num_heads, 1024}, {"num_key_value_heads", num_kv_heads, 1024}, {"head_dim", head_dim, 1024},
                   {"intermediate_size", intermediate_size, 1 << 20}, {"sliding_window", sliding_window, 1 << 30}, {"max_position_embeddings", max_position_embeddings, 1 << 24}})
      require(s.value >= 1 && s.value <= s.limit, Code::kArgument, "config: ", s.name, " is ", s.value, ", expected 1 to ", s.limit);
    require(num_heads % num_kv_heads == 0, Code::kArgument, "config: num_attention_heads is ", num_heads, ", expected a multiple of num_key_value_heads (", num_kv_heads, ")");
    require(head_dim % 2 == 0, Code::kArgument, "config: head_dim is ", head_dim, ", expected an even number");
    require(int64_t(full_attention.size()) == num_layers, Code::kArgument, "config: layer_types has ", full_attention.size(), " entries, expected ", num_layers);
    require(rope_theta > 0 && rope_local_theta > 0 && rope_factor > 0 && rms_norm_eps > 0 && query_pre_attn_scalar > 0, Code::kArgument,
            "config: rope theta, rope factor, rms_norm_eps and query_pre_attn_scalar must be positive");
  }
};

}  // namespace gt
