// The addon: registers our ops with the TensorFlow that tfjs's binding has loaded, once a process.
#include <node_api.h>

#include <mutex>

#include "ops.h"

static void registerAll() {
  static std::mutex mutex;
  static bool done = false;
  std::lock_guard<std::mutex> lock(mutex);  // every worker thread loads the addon
  if (done) return;
  tensorflow::find();
  std::vector<Registration> all;
  for (const auto& family : {approxGradOps(), attentionOps(), columnOps(), crossEntropyOps(), elementwiseOps(), halfOps(),
                             loraGradOps(), normOps(), packOps(), productOps(), randomOps(), rowOps()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  registerOps(all);
  done = true;
}

// What require() gives: {prefix}, with which the ops' names begin.
NAPI_MODULE_INIT() {
  try {
    registerAll();
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
    return nullptr;
  }
  napi_value prefix;
  napi_create_string_utf8(env, OP_PREFIX, NAPI_AUTO_LENGTH, &prefix);
  napi_set_named_property(env, exports, "prefix", prefix);
  return exports;
}
