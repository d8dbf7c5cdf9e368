# Included by llama-cpp-python's build (CMAKE_PROJECT_llama_cpp_INCLUDE): of llama.cpp only the
# library is used here, and without its command line parts it compiles in half the time. A plain
# variable wins over the cache entry that the build sets.
set(LLAMA_BUILD_COMMON OFF)
