//! How figures, tables and reports show themselves in an evcxr notebook.

use std::io::Write;

/// Prints a value as a bundle of HTML and plain text, in the form that the evcxr kernel reads from
/// standard output. Written at once, so that another thread's output cannot fall between.
pub(super) fn show(html: &str, plain: &str) {
    let bundle = format!(
        "EVCXR_BEGIN_CONTENT text/html\n{html}\nEVCXR_END_CONTENT\n\
         EVCXR_BEGIN_CONTENT text/plain\n{plain}\nEVCXR_END_CONTENT\n"
    );
    let mut out = std::io::stdout().lock();
    // A closed notebook must not bring the kernel down.
    let _ = out.write_all(bundle.as_bytes()).and_then(|()| out.flush());
}
