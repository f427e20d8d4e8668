#include <cstdio>
#include <polymoe/target/detect.hpp>
#include <polymoe/target/dispatch.hpp>

#include "engine.hpp"

int main() {
  constexpr auto builds =
      polymoe::entry_points<ENGINE_ISAS>([]<polymoe::CpuFeatures level> { return &backend_name<level>; });
  const auto chosen = polymoe::dispatch(builds, polymoe::target::detect());
  if (chosen == nullptr) return 1;
  std::printf("%s\n", chosen());
}
