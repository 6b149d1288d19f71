"""Python's HTTP clients, named by the first argument: POST of a JSON text to an address."""

import sys

which, url, body = sys.argv[1:]
headers = {"content-type": "application/json"}
if which == "urllib":
    import urllib.request

    print(urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)).read().decode())
elif which == "requests":
    import requests

    print(requests.post(url, data=body, headers=headers).text)
elif which == "httpx":
    import httpx

    print(httpx.post(url, content=body, headers=headers).text)
elif which in ("aiohttp", "aiohttp-trust-env"):
    import asyncio

    import aiohttp

    async def post():
        async with aiohttp.ClientSession(trust_env=which != "aiohttp") as session:
            async with session.post(url, data=body, headers=headers) as answer:
                print(await answer.text())

    asyncio.run(post())
elif which == "openai":
    import json

    from openai import OpenAI

    client = OpenAI(base_url=url.removesuffix("/chat/completions"), api_key="no-key-at-all")
    print(client.chat.completions.create(**json.loads(body)).model_dump_json())
