//! The page. `make dashboard-web` builds it of the sources in `web/`.

/// A file of the page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Where the browser asks for it.
    path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset { path: "/", media_type: "text/html; charset=utf-8", content: include_str!("web/dist/index.html") },
    Asset {
        path: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("web/dist/app.js"),
    },
    Asset {
        path: "/app.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("web/dist/app.css"),
    },
    Asset { path: "/icon.svg", media_type: "image/svg+xml", content: include_str!("web/dist/icon.svg") },
];

/// The file of a path.
#[must_use]
pub fn find(path: &str) -> Option<Asset> {
    ASSETS.into_iter().find(|asset| asset.path == path)
}
