# Writes the source of apps/common/version.h, when it has changed; run by every build.
#
#   cmake -DSOURCE=... -DVERSION=0.1.0 -DOUTPUT=... -P write_version.cmake
execute_process(COMMAND git describe --always --dirty --exclude=* WORKING_DIRECTORY ${SOURCE}
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR revision STREQUAL "")
  set(text "${VERSION}")  # not a clone
else()
  set(text "${VERSION}+${revision}")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#include \"apps/common/version.h\"

const char* ds::apps::version() { return \"${text}\"; }
")
