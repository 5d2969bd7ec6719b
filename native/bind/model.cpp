// The model as JavaScript sees it: every method marshals its arguments, starts a Call, and marshals the result.
#include "bind/model.h"

#include "bind/marshal.h"

namespace bind {

static gt_model* model_of(Call& call) { return static_cast<ModelHandle&>(call.handle()).model; }

Napi::Function Model::define(Napi::Env env) {
  return DefineClass(env, "Model",
                     {
                         InstanceMethod("parameters", &Model::parameters),
                         InstanceMethod("load", &Model::load),
                         InstanceMethod("save", &Model::save),
                         InstanceMethod("initialize", &Model::initialize),
                         InstanceMethod("read", &Model::read),
                         InstanceMethod("score", &Model::score),
                         InstanceMethod("accumulate", &Model::accumulate),
                         InstanceMethod("share", &Model::share),
                         InstanceMethod("completeCopies", &Model::complete_copies),
                         InstanceMethod("checksum", &Model::checksum),
                         InstanceMethod("traffic", &Model::traffic),
                         InstanceMethod("update", &Model::update),
                         InstanceMethod("discard", &Model::discard),
                         InstanceMethod("generate", &Model::generate),
                         InstanceMethod("plan", &Model::plan),
                         InstanceMethod("setRecompute", &Model::set_recompute),
                         InstanceMethod("memory", &Model::memory),
                         InstanceMethod("profile", &Model::profile),
                         InstanceMethod("takeProfile", &Model::take_profile),
                         InstanceMethod("cancel", &Model::cancel),
                         InstanceMethod("dispose", &Model::dispose),
                     });
}

Model::Model(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Object c = object(info[0], "config"), o = object(info[1], "options");
  const std::vector<uint8_t> full_attention = bytes(c.Get("fullAttention"), "fullAttention");
  gt_config config{};
  config.vocab_size = integer(c, "vocabSize");
  config.hidden_size = integer(c, "hiddenSize");
  config.num_layers = integer(c, "numLayers");
  config.num_heads = integer(c, "numHeads");
  config.num_kv_heads = integer(c, "numKvHeads");
  config.head_dim = integer(c, "headDim");
  config.intermediate_size = integer(c, "intermediateSize");
  config.sliding_window = integer(c, "slidingWindow");
  config.max_position_embeddings = integer(c, "maxPositionEmbeddings");
  config.full_attention = full_attention.data();
  config.rope_theta = number(c, "ropeTheta");
  config.rope_local_theta = number(c, "ropeLocalTheta");
  config.rope_factor = number(c, "ropeFactor");
  config.rms_norm_eps = number(c, "rmsNormEps");
  config.query_pre_attn_scalar = number(c, "queryPreAttnScalar");
  if (int64_t(full_attention.size()) != config.num_layers)
    misuse(info.Env(), "fullAttention has " + std::to_string(full_attention.size()) + " entries, expected numLayers, " + std::to_string(config.num_layers));

  gt_options options{};
  options.dtype = gt_dtype(one_of(o.Get("dtype"), "dtype", {"float32", "bfloat16"}));
  options.device = device(o.Get("device"));
  const int64_t index = integer(o, "deviceIndex");
  if (index < 0 || index > INT32_MAX) misuse(info.Env(), "deviceIndex is " + std::to_string(index) + ", expected 0 to 2147483647");
  options.device_index = int32_t(index);
  const int64_t threads = integer(o, "threads");
  if (threads < 0 || threads > 4096) misuse(info.Env(), "threads is " + std::to_string(threads) + ", expected 0 to 4096");
  options.threads = int32_t(threads);
  options.trainable = boolean(o, "trainable");
  options.master_weights = boolean(o, "masterWeights");
  options.recompute = recompute(o.Get("recompute"));

  auto handle = std::make_shared<ModelHandle>();
  const gt_status status = gt_model_create(&config, &options, &handle->model);
  if (status != GT_OK) throw error_of(info.Env(), code_of(status), gt_last_error());
  handle_ = std::move(handle);
}

std::shared_ptr<ModelHandle> Model::open(Napi::Env env) {
  if (!handle_) throw error_of(env, "ERR_GEMMATUNE_CLOSED", "the model was disposed of; load it again to use it");
  return handle_;
}

std::shared_ptr<ModelHandle> Model::idle(Napi::Env env) {
  auto handle = open(env);
  if (handle->busy) throw error_of(env, "ERR_GEMMATUNE_BUSY", "the model is busy with another call; await that one first");
  return handle;
}

Napi::Value Model::parameters(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto handle = open(env);
  const int64_t count = gt_model_parameter_count(handle->model);
  Napi::Array all = Napi::Array::New(env, size_t(count));
  for (int64_t i = 0; i < count; i++) {
    gt_parameter p{};
    gt_model_parameter(handle->model, i, &p);
    Napi::Object o = Napi::Object::New(env);
    Napi::Array shape = Napi::Array::New(env, size_t(p.rank));
    for (int32_t d = 0; d < p.rank; d++) shape[uint32_t(d)] = double(p.shape[d]);
    o["name"] = Napi::String::New(env, p.name);
    o["shape"] = shape;
    o["decay"] = Napi::Boolean::New(env, p.decay);
    all[uint32_t(i)] = o;
  }
  return all;
}

static Napi::Value undefined(Napi::Env env) { return env.Undefined(); }

Napi::Value Model::load(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct Source {
    int64_t index, offset;
    std::string path;
    gt_dtype type;
  };
  const gt_part which = part(info[0]);
  if (!info[1].IsArray()) misuse(env, "sources: expected an array");
  const Napi::Array array = info[1].As<Napi::Array>();
  std::vector<Source> sources;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Object o = object(array.Get(i), "source");
    sources.push_back({integer(o, "index"), integer(o, "offset"), string(o.Get("path"), "path"), dtype(o.Get("dtype"))});
  }
  return Call::start(env, idle(env), [=](Call& call) {
    for (const Source& s : sources)
      if (gt_status status = gt_model_load(model_of(call), which, s.index, s.path.c_str(), s.offset, s.type)) return status;
    return GT_OK;
  }, undefined);
}

Napi::Value Model::save(const Napi::CallbackInfo& info) {
  const gt_part which = part(info[0]);
  const gt_dtype type = dtype(info[1]);
  const std::string path = string(info[2], "path");
  const auto header = std::make_shared<std::vector<uint8_t>>(bytes(info[3], "header"));
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) {
    return gt_model_save(model_of(call), which, type, path.c_str(), header->data(), int64_t(header->size()));
  }, undefined);
}

Napi::Value Model::initialize(const Napi::CallbackInfo& info) {
  const uint64_t seed = uint64_t(integer(info[0], "seed"));
  const double std = number(info[1], "std");
  if (!(std >= 0 && std <= 1e3)) misuse(info.Env(), "std is " + std::to_string(std) + ", expected 0 to 1000");
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) { return gt_model_initialize(model_of(call), seed, std); }, undefined);
}

Napi::Value Model::read(const Napi::CallbackInfo& info) {
  const gt_part which = part(info[0]);
  const int64_t index = integer(info[1], "index");
  auto out = std::make_shared<std::vector<float>>();
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) {
    gt_parameter p{};
    if (gt_status status = gt_model_parameter(model_of(call), index, &p)) return status;
    out->resize(size_t(p.count));
    return gt_model_read(model_of(call), which, index, out->data());
  }, [out](Napi::Env env) -> Napi::Value {
    Napi::Float32Array a = Napi::Float32Array::New(env, out->size());
    std::copy(out->begin(), out->end(), a.Data());
    return a;
  });
}

Napi::Value Model::score(const Napi::CallbackInfo& info) {
  auto b = batch(info[0]);
  auto logprobs = std::make_shared<std::vector<float>>(b->tokens.size());
  auto m = std::make_shared<gt_metrics>();
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) {
    const gt_batch view = b->view();
    return gt_model_score(model_of(call), &view, logprobs->data(), m.get());
  }, [=](Napi::Env env) -> Napi::Value {
    Napi::Object o = metrics(env, *m);
    Napi::Float32Array a = Napi::Float32Array::New(env, logprobs->size());
    std::copy(logprobs->begin(), logprobs->end(), a.Data());
    o["logprobs"] = a;
    return o;
  });
}

Napi::Value Model::accumulate(const Napi::CallbackInfo& info) {
  auto b = batch(info[0]);
  if (!info[1].IsBoolean()) misuse(info.Env(), "last: expected true or false");
  const int32_t last = info[1].As<Napi::Boolean>().Value();
  auto m = std::make_shared<gt_metrics>();
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) {
    const gt_batch view = b->view();
    return gt_model_accumulate(model_of(call), &view, last, m.get());
  }, [=](Napi::Env env) -> Napi::Value { return metrics(env, *m); });
}

Napi::Value Model::share(const Napi::CallbackInfo& info) {
  const auto group = Group::handle_of(info[0]);
  const Napi::Object o = object(info[1], "sharing");
  const std::string collectives = string(o.Get("collectives"), "collectives");
  const gt_dtype wire = gt_dtype(one_of(o.Get("wire"), "wire", {"float32", "bfloat16"}));
  const int32_t cut = boolean(o, "sharded");
  const auto library = std::make_shared<std::string>(64, '\0');
  const auto handle = idle(info.Env());
  handle->group = group;
  return Call::start(info.Env(), handle, [=](Call& call) {
    const gt_sharing sharing{collectives.c_str(), wire, cut};
    return gt_model_share(model_of(call), group->group, &sharing, library->data());
  }, [library](Napi::Env env) -> Napi::Value { return Napi::String::New(env, library->c_str()); });
}

Napi::Value Model::complete_copies(const Napi::CallbackInfo& info) {
  return Call::start(info.Env(), idle(info.Env()), [](Call& call) { return gt_model_complete_copies(model_of(call)); }, undefined);
}

Napi::Value Model::checksum(const Napi::CallbackInfo& info) {
  const auto sum = std::make_shared<uint64_t>();
  return Call::start(info.Env(), idle(info.Env()), [sum](Call& call) { return gt_model_checksum(model_of(call), sum.get()); }, [sum](Napi::Env env) -> Napi::Value { return Napi::BigInt::New(env, *sum); });
}

Napi::Value Model::traffic(const Napi::CallbackInfo& info) {
  gt_traffic t{};
  gt_model_traffic(open(info.Env())->model, &t);
  Napi::Object o = Napi::Object::New(info.Env());
  o["collectives"] = double(t.collectives);
  o["bytes"] = double(t.bytes);
  o["busy"] = t.busy;
  o["waited"] = t.waited;
  return o;
}

Napi::Value Model::update(const Napi::CallbackInfo& info) {
  const Napi::Object o = object(info[0], "update");
  gt_update u{};
  u.learning_rate = number(o, "learningRate");
  u.beta1 = number(o, "beta1");
  u.beta2 = number(o, "beta2");
  u.epsilon = number(o, "epsilon");
  u.weight_decay = number(o, "weightDecay");
  u.max_grad_norm = number(o, "maxGradNorm");
  u.divisor = number(o, "divisor");
  u.step = integer(o, "step");
  u.seed = uint64_t(integer(o, "seed"));
  auto r = std::make_shared<gt_update_result>();
  return Call::start(info.Env(), idle(info.Env()), [=](Call& call) { return gt_model_update(model_of(call), &u, r.get()); }, [=](Napi::Env env) -> Napi::Value {
    Napi::Object result = Napi::Object::New(env);
    result["gradNorm"] = r->grad_norm;
    result["applied"] = bool(r->applied);
    return result;
  });
}

Napi::Value Model::discard(const Napi::CallbackInfo& info) {
  return Call::start(info.Env(), idle(info.Env()), [](Call& call) { return gt_model_discard(model_of(call)); }, undefined);
}

Napi::Value Model::generate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto prompts = std::make_shared<PackedBatch>();
  prompts->tokens = int32s(info[0], "tokens");
  prompts->starts = int32s(info[1], "starts");
  prompts->check(env);
  const Napi::Object o = object(info[2], "options");
  const std::vector<int32_t> stop_ids = int32s(o.Get("stopIds"), "stopIds");
  gt_generate_options options{};
  options.max_new_tokens = integer(o, "maxNewTokens");
  options.batch_size = integer(o, "batchSize");
  options.temperature = number(o, "temperature");
  options.top_k = integer(o, "topK");
  options.top_p = number(o, "topP");
  options.seed = uint64_t(integer(o, "seed"));
  const Napi::Function on_progress = info[3].IsFunction() ? info[3].As<Napi::Function>() : Napi::Function();
  using Ids = std::vector<std::vector<int32_t>>;
  auto ids = std::make_shared<Ids>(prompts->starts.size() - 1);
  struct Context {
    Call* call;
    Ids* ids;
  };
  return Call::start(env, idle(env), [=](Call& call) {
    const gt_batch view = prompts->view();
    gt_generate_options with_stops = options;
    with_stops.stop_ids = stop_ids.data();
    with_stops.num_stop_ids = int64_t(stop_ids.size());
    Context context{&call, ids.get()};
    return gt_model_generate(model_of(call), &view, &with_stops, [](void* c, int64_t done) { static_cast<Context*>(c)->call->progress(done); },
                             [](void* c, int64_t prompt, const int32_t* out, int64_t n) { (*static_cast<Context*>(c)->ids)[size_t(prompt)].assign(out, out + n); }, &context);
  }, [=](Napi::Env env) -> Napi::Value {
    Napi::Array all = Napi::Array::New(env, ids->size());
    for (size_t i = 0; i < ids->size(); i++) {
      const auto& one = (*ids)[i];
      Napi::Int32Array a = Napi::Int32Array::New(env, one.size());
      std::copy(one.begin(), one.end(), a.Data());
      all[uint32_t(i)] = a;
    }
    return all;
  }, on_progress);
}

Napi::Value Model::plan(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int64_t tokens = integer(info[0], "tokens"), targets = integer(info[1], "targets");
  if (tokens > INT32_MAX) misuse(env, "tokens is " + std::to_string(tokens) + ", expected at most 2147483647");  // as a batch has
  gt_plan p{};
  const gt_status status = gt_model_plan(idle(env)->model, tokens, targets, &p);
  if (status != GT_OK) throw error_of(env, code_of(status), gt_last_error());
  Napi::Object bytes = Napi::Object::New(env);
  bytes["none"] = double(p.bytes[GT_KEEP_ALL]);
  bytes["elementwise"] = double(p.bytes[GT_RECOMPUTE_ELEMENTWISE]);
  bytes["blocks"] = double(p.bytes[GT_RECOMPUTE_BLOCKS]);
  Napi::Object o = Napi::Object::New(env);
  o["bytes"] = bytes;
  o["available"] = double(p.available);
  return o;
}

void Model::set_recompute(const Napi::CallbackInfo& info) {
  const gt_status status = gt_model_set_recompute(idle(info.Env())->model, recompute(info[0]));
  if (status != GT_OK) throw error_of(info.Env(), code_of(status), gt_last_error());
}

Napi::Value Model::memory(const Napi::CallbackInfo& info) {
  gt_memory m{};
  gt_model_memory(open(info.Env())->model, &m);
  Napi::Object o = Napi::Object::New(info.Env());
  o["weights"] = double(m.weights);
  o["state"] = double(m.state);
  o["activations"] = double(m.activations);
  return o;
}

void Model::profile(const Napi::CallbackInfo& info) {
  if (!info[0].IsBoolean()) misuse(info.Env(), "on: expected true or false");
  const gt_status status = gt_model_profile(idle(info.Env())->model, info[0].As<Napi::Boolean>().Value());
  if (status != GT_OK) throw error_of(info.Env(), code_of(status), gt_last_error());
}

Napi::Value Model::take_profile(const Napi::CallbackInfo& info) {
  Napi::Array times = Napi::Array::New(info.Env());
  const gt_status status = gt_model_take_profile(idle(info.Env())->model, [](void* context, const gt_op_time* t) {
    Napi::Array& all = *static_cast<Napi::Array*>(context);
    Napi::Object o = Napi::Object::New(all.Env());
    o["op"] = Napi::String::New(all.Env(), t->op);
    o["calls"] = double(t->calls);
    o["launches"] = double(t->launches);
    o["seconds"] = t->seconds;
    all[all.Length()] = o;
  }, &times);
  if (status != GT_OK) throw error_of(info.Env(), code_of(status), gt_last_error());
  return times;
}

void Model::cancel(const Napi::CallbackInfo& info) {
  auto handle = open(info.Env());
  if (handle->busy) gt_model_cancel(handle->model, 1);
}

void Model::dispose(const Napi::CallbackInfo& info) {
  if (handle_) idle(info.Env());
  handle_.reset();
}

}  // namespace bind
