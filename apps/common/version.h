// What the programs were built from; the build writes the source (cmake/write_version.cmake).
#pragma once

namespace ds::apps {

/// "0.1.0+1a2b3c4", with "-dirty" where files differ from that commit; "0.1.0" of a source that is no clone.
const char* version();

}  // namespace ds::apps
