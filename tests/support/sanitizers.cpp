// Sanitizers report an allocation that cannot succeed as an error; a test wants to see the null pointer
// instead.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
