//! Calls of servers: HTTP requests, and messages of the Model Context Protocol.

use super::{Claims, Role};
use crate::span::Span;

pub(super) fn read_mcp(span: &Span, claims: &mut Claims) {
    let Some(method) = span.attributes.text("mcp.method.name") else { return };
    claims.role(Role::Mcp);
    claims.rpc().method = Some(method.to_string());
    claims.fill(|c| &mut c.rpc().id, span, &["jsonrpc.request.id", "rpc.jsonrpc.request_id"]);
    claims.fill(|c| &mut c.rpc().session, span, &["mcp.session.id"]);
    claims.fill(|c| &mut c.tool, span, &["gen_ai.tool.name"]);
    if claims.tool.is_none() && method == "tools/call" {
        claims.tool = span.name.rsplit_once(' ').map(|(_, tool)| tool.to_string());
    }
}

pub(super) fn read_http(span: &Span, claims: &mut Claims) {
    if !claims.is_answering() && span.attributes.first_text(&["http.request.method", "http.method"]).is_some()
    {
        claims.role(Role::Http);
    }
    claims.fill(|c| &mut c.request_id, span, &["anthropic.request.id"]);
}
