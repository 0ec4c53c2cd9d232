// Command fuzz runs every fuzz target of the house for some time, one after the other, and keeps the record of how long
// each was run so far, in record.tsv beside this file: the hours add up. It prints one row a target,
// name<TAB>measured<TAB>goal<TAB>ok|short, and exits with 1 when a target found something.
package main
