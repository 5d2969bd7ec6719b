// Each body runs inside guard(), which turns an exception into a status and keeps its sentence for this thread.
#include "api/gemmatune.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include "comm/connect.h"
#include "core/profile.h"
#include "cpu/isa.h"
#include "model/generate.h"
#include "model/values.h"
#include "training/trainer.h"

using namespace gt;

static Keep keep_of(gt_recompute recompute) {
  switch (recompute) {
    case GT_KEEP_ALL: return Keep::all;
    case GT_RECOMPUTE_ELEMENTWISE: return Keep::most;
    case GT_RECOMPUTE_BLOCKS: return Keep::inputs;
  }
  throw Error(Code::kArgument, text("recompute is ", int(recompute), ", expected 0 to 2"));
}

struct gt_group {
  comm::RendezvousOptions options;
  std::atomic<bool> cancelled{false};
  std::mutex mutex;  // of the pointer: one thread may leave while another joins
  std::unique_ptr<comm::Rendezvous> rendezvous;  // once joined

  comm::Rendezvous& joined() {
    require(rendezvous != nullptr, Code::kArgument, "the group has not been joined yet; join it first");
    return *rendezvous;
  }
};

struct gt_model {
  Device device;
  Gemma gemma;
  std::optional<Trainer> trainer;
  std::unique_ptr<comm::Communicator> ranks;  // of a shared model; ends before the memory that its collectives use
  std::atomic<bool> cancel{false};

  gt_model(const Config& config, const gt_options& o)
      : device(DeviceKind(o.device), o.device_index, o.threads), gemma(config, o.dtype == GT_FLOAT32 ? DType::f32 : DType::bf16, device, o.trainable && o.master_weights) {
    require(o.master_weights || o.dtype == GT_BFLOAT16, Code::kArgument, "masterWeights is false and dtype is float32, whose weights are their own masters; expected dtype bfloat16, or masterWeights left on");
    if (o.trainable) trainer.emplace(gemma, keep_of(o.recompute));
  }

  Trainer& training() {
    require(trainer.has_value(), Code::kArgument, "the model was loaded for inference; load it with trainable: true to train it");
    return *trainer;
  }

  Values values(gt_part part) {
    switch (part) {
      case GT_WEIGHT: return {gemma.weights(), gemma.remainders()};
      case GT_EXP_AVG: return {training().exp_avg(), {}};
      case GT_EXP_AVG_SQ: return {training().exp_avg_sq(), {}};
      case GT_GRADIENT: return {training().gradients(), {}};
    }
    throw Error(Code::kArgument, text("part is ", int(part), ", expected 0 to 3"));
  }

  const Parameter& parameter(int64_t index) const {
    const auto& rows = gemma.table().rows();
    require(index >= 0 && index < int64_t(rows.size()), Code::kArgument, "parameter index is ", index, ", expected 0 to ", rows.size() - 1);
    return rows[size_t(index)];
  }
};

constexpr int32_t kHasCuda = GEMMATUNE_CUDA;
#if defined(GEMMATUNE_EMULATED)
constexpr int32_t kHasEmulated = 1;
#else
constexpr int32_t kHasEmulated = 0;
#endif

static thread_local std::string last_error;

template <class Body>
static gt_status guard(const Body& body) {
  try {
    body();
    return GT_OK;
  } catch (const Error& e) {
    last_error = e.what();
    return gt_status(e.code);
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";
    return GT_MEMORY;
  } catch (const std::exception& e) {
    last_error = e.what();
    return GT_INTERNAL;
  }
}

static Batch batch_of(const gt_batch& b) { return {b.tokens, b.T, b.starts, b.S, b.targets}; }

static gt_metrics metrics_of(const Metrics& m) { return {m.loss_sum, m.targets, m.correct, m.entropy_sum}; }

// The plug-in lies beside the library that holds this function.
static std::string gloo_plugin() {
  if (const char* path = std::getenv("GEMMATUNE_GLOO"); path && *path) return path;
  Dl_info info{};
  const bool found = dladdr(reinterpret_cast<const void*>(&gloo_plugin), &info) && info.dli_fname;
  const std::string file = found ? info.dli_fname : "";
  return file.substr(0, file.rfind('/') + 1) + "gemmatune_gloo.so";
}

extern "C" {

const char* gt_last_error(void) { return last_error.c_str(); }

void gt_get_info(gt_info* info) {
  *info = {cpu::instruction_set(), int32_t(std::thread::hardware_concurrency()), cpu::has_avx512_bf16(), kHasCuda, kHasEmulated};
}

gt_status gt_device_count(gt_device device, int32_t* count) {
  *count = 0;
  return guard([&] { *count = count_devices(DeviceKind(device)); });
}

gt_status gt_device_info(gt_device device, int32_t index, gt_device_description* out) {
  return guard([&] {
    Device opened(DeviceKind(device), index, 1);
    require(!opened.on_host(), Code::kArgument, "the cpu has no device description; gt_get_info tells about it");
    const gpu::Description& d = opened.gpu().description;
    int64_t total;
    *out = {};
    d.name.copy(out->name, sizeof out->name - 1);
    out->capability = d.capability, out->path = int32_t(opened.gpu().level), out->multiprocessors = d.multiprocessors;
    out->memory = d.memory, out->driver = d.driver, out->runtime = d.runtime;
    opened.gpu().free_memory(&out->free, &total);
  });
}

gt_status gt_group_create(const gt_group_options* o, gt_group** group) {
  *group = nullptr;
  return guard([&] {
    auto g = std::make_unique<gt_group>();
    g->options = {o->rank, o->size, o->address, o->run, o->description, o->join_timeout, o->rank_timeout, &g->cancelled};
    *group = g.release();
  });
}

gt_status gt_group_join(gt_group* group) {
  return guard([&] {
    require(!group->rendezvous, Code::kArgument, "the group has been joined already; join it once");
    auto rendezvous = std::make_unique<comm::Rendezvous>(group->options);
    const std::lock_guard lock(group->mutex);
    group->rendezvous = std::move(rendezvous);
  });
}

gt_status gt_group_gather(gt_group* group, const char* what, const uint8_t* mine, int64_t bytes, gt_gathered out, void* context) {
  return guard([&] {
    const auto all = group->joined().gather("program", what, std::string(reinterpret_cast<const char*>(mine), size_t(bytes)));
    for (size_t rank = 0; rank < all.size(); rank++) out(context, int32_t(rank), reinterpret_cast<const uint8_t*>(all[rank].data()), int64_t(all[rank].size()));
  });
}

void gt_group_leave(gt_group* group, const char* reason) {
  group->cancelled = true;
  const std::lock_guard lock(group->mutex);
  if (group->rendezvous) group->rendezvous->leave(reason);
}

void gt_group_destroy(gt_group* group) { delete group; }

gt_status gt_model_create(const gt_config* c, const gt_options* o, gt_model** model) {
  *model = nullptr;
  return guard([&] {
    Config config{c->vocab_size, c->hidden_size, c->num_layers, c->num_heads, c->num_kv_heads, c->head_dim, c->intermediate_size, c->sliding_window,
                  {c->full_attention, c->full_attention + c->num_layers}, c->rope_theta, c->rope_local_theta, c->rope_factor, c->rms_norm_eps, c->query_pre_attn_scalar,
                  c->max_position_embeddings};
    *model = new gt_model(config, *o);
  });
}

void gt_model_destroy(gt_model* model) { delete model; }

int64_t gt_model_parameter_count(const gt_model* model) { return int64_t(model->gemma.table().rows().size()); }

gt_status gt_model_parameter(const gt_model* model, int64_t index, gt_parameter* out) {
  return guard([&] {
    const Parameter& p = model->parameter(index);
    *out = {p.name.c_str(), p.shape.data(), int32_t(p.shape.size()), p.decay, p.count};
  });
}

gt_status gt_model_load(gt_model* model, gt_part part, int64_t index, const char* path, int64_t offset, gt_dtype dtype) {
  return guard([&] {
    const FileType type = dtype == GT_FLOAT32 ? FileType::f32 : dtype == GT_BFLOAT16 ? FileType::bf16 : FileType::f16;
    load_values(model->device, model->values(part), model->parameter(index), MappedFile(path), offset, type);
  });
}

gt_status gt_model_save(gt_model* model, gt_part part, gt_dtype dtype, const char* path, const uint8_t* header, int64_t header_bytes) {
  return guard([&] {
    const Values values = model->values(part);
    AtomicFile file(path);
    file.write(header, header_bytes);
    for (const Parameter& p : model->gemma.table().rows()) write_values(model->device, values, p, dtype == GT_FLOAT32 ? DType::f32 : DType::bf16, file);
    file.commit();
  });
}

gt_status gt_model_initialize(gt_model* model, uint64_t seed, double std) {
  return guard([&] { initialize_values(model->device, model->values(GT_WEIGHT), model->gemma.table(), seed, std); });
}

gt_status gt_model_read(gt_model* model, gt_part part, int64_t index, float* out) {
  return guard([&] { read_values(model->device, model->values(part), model->parameter(index), out); });
}

gt_status gt_model_score(gt_model* model, const gt_batch* batch, float* logprobs, gt_metrics* metrics) {
  return guard([&] { *metrics = metrics_of(model->gemma.score(batch_of(*batch), logprobs)); });
}

gt_status gt_model_accumulate(gt_model* model, const gt_batch* batch, int32_t last, gt_metrics* metrics) {
  return guard([&] {
    require(batch->T > 0 || model->ranks, Code::kArgument, "batch is empty: 0 tokens; only a shared model takes part in passes without rows");
    *metrics = metrics_of(model->training().accumulate(batch_of(*batch), last != 0));
  });
}

gt_status gt_model_share(gt_model* model, gt_group* group, const gt_sharing* s, char* library) {
  return guard([&] {
    Trainer& trainer = model->training();
    require(!model->ranks, Code::kArgument, "the model is shared already; share it once");
    auto ranks = comm::connect(model->device, group->joined(), s->collectives, gloo_plugin());
    trainer.share(*ranks, {s->wire == GT_BFLOAT16 ? DType::bf16 : DType::f32, s->sharded != 0 && ranks->size() > 1});
    model->ranks = std::move(ranks);
    library[model->ranks->library().copy(library, 63)] = 0;
  });
}

gt_status gt_model_complete_copies(gt_model* model) {
  return guard([&] { model->training().complete_copies(); });
}

gt_status gt_model_checksum(gt_model* model, uint64_t* sum) {
  return guard([&] { *sum = model->training().checksum(); });
}

gt_status gt_model_traffic(const gt_model* model, gt_traffic* traffic) {
  return guard([&] {
    const comm::Traffic t = model->ranks ? model->ranks->traffic() : comm::Traffic{};
    *traffic = {t.collectives, t.bytes, t.busy, t.waited};
  });
}

gt_status gt_model_update(gt_model* model, const gt_update* u, gt_update_result* result) {
  return guard([&] {
    AdamW options{u->learning_rate, u->beta1, u->beta2, u->epsilon, u->weight_decay, u->step};
    options.divisor = u->divisor;
    options.max_grad_norm = u->max_grad_norm;
    options.seed = u->seed;
    const UpdateResult r = model->training().update(options);
    *result = {r.grad_norm, r.applied};
  });
}

gt_status gt_model_discard(gt_model* model) {
  return guard([&] { model->training().discard(); });
}

gt_status gt_model_generate(gt_model* model, const gt_batch* prompts, const gt_generate_options* o, gt_progress progress, gt_output out, void* context) {
  return guard([&] {
    GenerateOptions options;
    options.max_new_tokens = o->max_new_tokens;
    options.batch_size = o->batch_size;
    options.stop_ids.assign(o->stop_ids, o->stop_ids + o->num_stop_ids);
    options.sampling = {float(o->temperature), int32_t(o->top_k), o->top_p, o->seed};
    const auto results = generate(model->gemma, batch_of(*prompts), options, [&](int64_t done) { if (progress) progress(context, done); }, model->cancel);
    for (size_t i = 0; i < results.size(); i++) out(context, int64_t(i), results[i].data(), int64_t(results[i].size()));
  });
}

void gt_model_cancel(gt_model* model, int32_t cancel) { model->cancel = cancel != 0; }

gt_status gt_model_plan(gt_model* model, int64_t tokens, int64_t targets, gt_plan* plan) {
  return guard([&] {
    require(tokens >= 1 && targets >= 0 && targets <= tokens, Code::kArgument, "a pass of ", tokens, " tokens with ", targets, " targets cannot be; expected 1 or more tokens and at most as many targets");
    const Sharing* const sharing = model->trainer ? model->trainer->sharing() : nullptr;
    const int ranks = sharing && sharing->sharded() ? model->ranks->size() : 1;
    for (gt_recompute r : {GT_KEEP_ALL, GT_RECOMPUTE_ELEMENTWISE, GT_RECOMPUTE_BLOCKS}) plan->bytes[r] = model->gemma.pass_bytes(tokens, targets, keep_of(r), ranks);
    plan->available = 0;
    if (model->device.on_host()) return;
    int64_t total;
    model->device.gpu().free_memory(&plan->available, &total);
    plan->available += model->gemma.activation_bytes();
  });
}

gt_status gt_model_set_recompute(gt_model* model, gt_recompute recompute) {
  return guard([&] { model->training().set_keep(keep_of(recompute)); });
}

gt_status gt_model_memory(const gt_model* model, gt_memory* memory) {
  return guard([&] {
    *memory = {model->gemma.weights().bytes() + (model->gemma.remainders() ? model->gemma.remainders().bytes() : 0), model->trainer ? model->trainer->bytes() : 0,
               model->gemma.activation_bytes()};
  });
}

gt_status gt_model_profile(gt_model* model, int32_t on) {
  return guard([&] { model->device.set_profile(on != 0); });
}

gt_status gt_model_take_profile(gt_model* model, gt_op_times out, void* context) {
  return guard([&] {
    Profile* const profile = model->device.profile();
    if (!profile) return;
    for (const OpTime& t : profile->take()) {
      const gt_op_time time{t.op, t.calls, t.launches, t.seconds};
      out(context, &time);
    }
  });
}

}  // extern "C"
