# cmake -DPROGRAM=path -DFOLDER=path -P: the manual page of a program, and those of its commands, as it writes
# them itself (--help_man).
cmake_minimum_required(VERSION 3.25)
get_filename_component(name ${PROGRAM} NAME)
execute_process(COMMAND ${PROGRAM} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "^.*\nCommands \\([^\n]*\n" "" listed "${help}")
if(listed STREQUAL help)
  set(listed "")
endif()
string(REGEX MATCHALL "\n  [a-z_]+" words "\n${listed}")
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${PROGRAM} --help_man OUTPUT_FILE ${FOLDER}/${name}.1 COMMAND_ERROR_IS_FATAL ANY)
foreach(word IN LISTS words)
  string(STRIP "${word}" word)
  execute_process(COMMAND ${PROGRAM} ${word} --help_man OUTPUT_FILE ${FOLDER}/${name}-${word}.1
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
